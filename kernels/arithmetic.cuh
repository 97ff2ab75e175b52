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

struct Pair {
  float first, second;
};

/// (a, b) rotated by the angle with cosine c and sine s; the caller rounds once more when it
/// stores.
template <DType kDType>
QKJIT_DEVICE Pair rotate(Rounding rounding, Pair y, float c, float s) {
  if (rounding == Rounding::eager) {
    const float ac = round_to<kDType>(mul_rn(y.first, c));
    const float as = round_to<kDType>(mul_rn(y.first, s));
    const float bc = round_to<kDType>(mul_rn(y.second, c));
    const float bs = round_to<kDType>(mul_rn(y.second, s));
    return {add_rn(ac, -bs), add_rn(bc, as)};
  }
  return {fma_rn(y.first, c, -mul_rn(y.second, s)), fma_rn(y.second, c, mul_rn(y.first, s))};
}

}  // namespace qkjit
