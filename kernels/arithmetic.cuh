// The numerics, once for every path: the fused kernel, the generic kernel and the CPU path call
// these functions, so their results differ in no bit. All is fp32; `round_to` marks where a
// rounding mode goes through the dtype.
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

/// 1 / sqrt(mean of squares + eps), with `inv` = 1 / head_dim rounded to fp32.
QKJIT_DEVICE float reciprocal_rms(float sum, float inv, float eps) {
  return rsqrt_rn(fma_rn(sum, inv, eps));
}

/// One normalised element: x the input, r the reciprocal rms, w the weight.
template <DType kDType>
QKJIT_DEVICE float normalize(Rounding rounding, float x, float r, float w) {
  switch (rounding) {
    case Rounding::fused:
      return mul_rn(x, mul_rn(r, w));
    case Rounding::split:
    case Rounding::eager:
      return round_to<kDType>(mul_rn(x, mul_rn(r, w)));
    case Rounding::hf:
      return round_to<kDType>(mul_rn(round_to<kDType>(mul_rn(x, r)), w));
    case Rounding::late_weight:
      return round_to<kDType>(mul_rn(w, mul_rn(x, r)));
  }
  return 0;  // unreachable: the switch is complete
}

/// normalize() for a chunk.
template <DType kDType>
QKJIT_DEVICE void normalize_chunk(Rounding rounding, float (&x)[kChunk], float r,
                                  const float (&w)[kChunk]) {
#pragma unroll
  for (int i = 0; i < kChunk; ++i) x[i] = normalize<kDType>(rounding, x[i], r, w[i]);
}

/// An element of a pair after the rotation: `own` turned, `other` its partner, c the cosine, s the
/// sine for the second element of a pair and its negative for the first.
template <DType kDType>
QKJIT_DEVICE float rotate_element(Rounding rounding, float own, float other, float c, float s) {
  if (rounding == Rounding::eager) {
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
