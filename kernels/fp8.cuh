// FP8 e4m3 as outputs are stored in it, once for every path: four bits of exponent, three of
// mantissa, up to 448 and no infinity. The value v that the dtype would hold, in rounding=fused the
// fp32 value before it is rounded, becomes e4m3(v * inv) with `inv` = 1 / scale, rounded once a
// row, as vLLM's scaled_fp8_quant and TensorRT-LLM's quantisation multiply. Both roundings are to
// nearest even; what is too large, infinity too, is stored as 448, and NaN as 0x7f.
#pragma once

#include "dtype.cuh"

namespace qkjit {

inline constexpr float kLargestE4m3 = 448;
/// No scale that is found is smaller, so that a row of zeros has one (vLLM's min_scaling_factor).
inline constexpr float kLeastScale = 1.0f / (448.0f * 512.0f);

/// The bits of one value.
QKJIT_DEVICE unsigned float_to_e4m3(float x) {
  if (is_nan(x)) return 0x7f;
  const unsigned sign = (bits_of(x) >> 24) & 0x80;
  const unsigned magnitude = bits_of(x) & 0x7fffffff;
  if (magnitude >= bits_of(kLargestE4m3)) return sign | 0x7e;
  if (magnitude < bits_of(0x1p-6f)) {  // subnormal: an ulp of [2^14, 2^15) is the 2^-9 we round to
    return sign | (bits_of(add_rn(float_of(magnitude), 0x1p14f)) - bits_of(0x1p14f));
  }
  const unsigned rounded = magnitude + 0x7ffff + ((magnitude >> 20) & 1);
  return sign | ((rounded - (120u << 23)) >> 20);
}

/// Two values, the first in the low byte.
QKJIT_DEVICE unsigned pack_e4m3(float low, float high) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 890
  unsigned short packed;
  asm("cvt.rn.satfinite.e4m3x2.f32 %0, %1, %2;" : "=h"(packed) : "f"(high), "f"(low));
  return packed;
#else
  return float_to_e4m3(low) | float_to_e4m3(high) << 8;
#endif
}

/// The larger of a magnitude and that of x. NaN does not count, so the order is no matter.
QKJIT_DEVICE float larger_magnitude(float largest, float x) {
#if defined(__CUDACC__)
  return fmaxf(largest, fabsf(x));  // one instruction, and the other operand where one is NaN
#else
  const float magnitude = float_of(bits_of(x) & 0x7fffffff);
  return magnitude > largest ? magnitude : largest;
#endif
}

/// The scale that stores the largest magnitude as 448: largest / 448, correctly rounded, without a
/// division (Markstein, IBM J. Res. Dev. 34, 1990; tests/unit/fp8_test.cpp has every mantissa).
QKJIT_DEVICE float scale_of(float largest) {
  constexpr float kInverse = 1 / kLargestE4m3;
  const float near = mul_rn(largest, kInverse);
  const float refined = fma_rn(fma_rn(-near, kLargestE4m3, largest), kInverse, near);
  const float scale = refined == refined ? refined : near;  // infinity
  return scale > kLeastScale ? scale : kLeastScale;
}

QKJIT_DEVICE float inverse_of(float scale) { return rcp_rn(scale); }

/// The same of what scale_of() gives, which is normal and has a normal inverse, or is infinite:
/// Markstein's again, without the branch for all others.
QKJIT_DEVICE float inverse_of_found(float scale) {
  const float near = rcp_near(scale);
  const float refined = fma_rn(fma_rn(-scale, near, 1.0f), near, near);
  return refined == refined ? refined : near;  // infinity
}

}  // namespace qkjit
