// The numerics, once for every path: the fused kernel, the generic kernel and the CPU path call
// these functions, so their results differ in no bit. All is fp32; `round_to` marks where a
// rounding mode goes through the dtype. A norm comes before the rotation or after it, as the spec
// says, and a row ends as its last step leaves it, rounded once more when it is stored.
#pragma once

#include "dtype.cuh"

namespace qkjit {

/// Sum of squares of one chunk, in index order. Chunk sums are then added as a butterfly: padded
/// with zeros to a power of two n, p[i] += p[i xor d] for d = n/2, n/4, ... 1. Padding further
/// changes nothing, because no sum is -0.
template <int kCount>
QKJIT_DEVICE float sum_of_squares(const float (&x)[kCount]) {
  float sum = 0;
#pragma unroll
  for (int i = 0; i < kCount; ++i) sum = fma_rn(x[i], x[i], sum);
  return sum;
}

/// Under a norm across heads, the sums of a token's heads, each made as above, are dealt to so many
/// partial sums: head h's is added to number h % kPartialSums, which begins as 0, in the order of
/// heads. Those are added as a butterfly. Up to so many heads this is one over all of them; more
/// need no more room.
inline constexpr int kPartialSums = 32;

/// 1 / sqrt(mean of squares + eps), with `inv` = 1 / the number of squares, rounded to fp32: of
/// head_dim, or heads * head_dim.
QKJIT_DEVICE float reciprocal_rms(float sum, float inv, float eps) {
  return rsqrt_rn(fma_rn(sum, inv, eps));
}

// LayerNorm, y = (x - mean) / sqrt(mean of (x - mean)^2 + eps) * w + b (Ba, Kiros and Hinton 2016,
// arXiv:1607.06450, and torch.nn.LayerNorm): the row is centred, then normalised as by RMSNorm.
// Both passes are over what is in registers, so the variance suffers no cancellation.

/// Sum of one chunk, in index order; chunk sums are added as a butterfly, as those of squares.
/// Here too padding with zeros changes nothing: a sum that begins with +0 is never -0, because
/// x + -x is +0 when rounding to nearest, so adding +0 leaves it as it is.
template <int kCount>
QKJIT_DEVICE float sum_of_elements(const float (&x)[kCount]) {
  float sum = 0;
#pragma unroll
  for (int i = 0; i < kCount; ++i) sum = add_rn(sum, x[i]);
  return sum;
}

/// An element of the row without the row's mean, `sum` * `inv`. Padding stays zero instead.
QKJIT_DEVICE float centred(float x, float sum, float inv) { return add_rn(x, -mul_rn(sum, inv)); }

/// What stands for a weight in the functions below. Without one it is 1: multiplying by 1 is
/// exact, so every mode gives what it gives with no factor at all.
QKJIT_DEVICE float effective_weight(Weight weight, float w) {
  return weight == Weight::one_plus ? add_rn(1, w) : weight == Weight::plain ? w : 1;
}

/// One normalised element: x the input, r the reciprocal rms, w the weight.
template <DType kDType>
QKJIT_DEVICE float normalize(Rounding rounding, float x, float r, float w) {
  switch (norm_rounding(rounding)) {
    case Rounding::fused:
      return mul_rn(x, mul_rn(r, w));
    case Rounding::hf:
      return round_to<kDType>(mul_rn(round_to<kDType>(mul_rn(x, r)), w));
    case Rounding::late_weight:
      return round_to<kDType>(mul_rn(w, mul_rn(x, r)));
    default:  // split
      return round_to<kDType>(mul_rn(x, mul_rn(r, w)));
  }
}

/// normalize() with a bias b. As in the modules that the modes follow, `fused` and `split` add it
/// in the multiplication, `late_weight` in an addition in fp32, `hf` in one in the dtype.
template <DType kDType>
QKJIT_DEVICE float normalize(Rounding rounding, float x, float r, float w, float b) {
  switch (norm_rounding(rounding)) {
    case Rounding::fused:
      return fma_rn(x, mul_rn(r, w), b);
    case Rounding::hf:
      return round_to<kDType>(
          add_rn(round_to<kDType>(mul_rn(round_to<kDType>(mul_rn(x, r)), w)), b));
    case Rounding::late_weight:
      return round_to<kDType>(add_rn(mul_rn(w, mul_rn(x, r)), b));
    default:  // split
      return round_to<kDType>(fma_rn(x, mul_rn(r, w), b));
  }
}

/// A rotated element, as a norm after the rotation takes it: every mode but `fused` stands for
/// kernels that hand it over in the dtype.
template <DType kDType>
QKJIT_DEVICE float handed_over(Rounding rounding, float x) {
  return rounding == Rounding::fused ? x : round_to<kDType>(x);
}

/// An element of a pair after the rotation: `own` turned, `other` its partner, c the cosine, s the
/// sine for the second element of a pair and its negative for the first.
template <DType kDType>
QKJIT_DEVICE float rotate_element(Rounding rounding, float own, float other, float c, float s) {
  if (rotates_eagerly(rounding)) {
    return add_rn(round_to<kDType>(mul_rn(own, c)), round_to<kDType>(mul_rn(other, s)));
  }
  return fma_rn(own, c, mul_rn(other, s));
}

/// Both elements of a pair, each by its own angle; the caller rounds once more when it stores.
template <DType kDType>
QKJIT_DEVICE void rotate_pair(Rounding rounding, float& first, float& second, float c0, float s0,
                              float c1, float s1) {
  const float a = first, b = second;
  first = rotate_element<kDType>(rounding, a, b, c0, -s0);
  second = rotate_element<kDType>(rounding, b, a, c1, s1);
}

/// Both by the same.
template <DType kDType>
QKJIT_DEVICE void rotate_pair(Rounding rounding, float& first, float& second, float c, float s) {
  rotate_pair<kDType>(rounding, first, second, c, s, c, s);
}

}  // namespace qkjit
