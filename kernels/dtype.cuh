// Conversions between fp32 and the stored dtypes: round to nearest even, and every NaN becomes the
// one that NVIDIA's hardware writes, so that all paths agree on NaN too.
#pragma once

#include "platform.cuh"

namespace qkjit {

inline constexpr unsigned kNan16 = 0x7fff;
inline constexpr unsigned kNan32 = 0x7fffffff;

QKJIT_DEVICE bool is_nan(float x) { return x != x; }

QKJIT_DEVICE float bf16_to_float(unsigned bits) { return float_of(bits << 16); }

// Two values are converted where one is wanted: the instruction for one alone runs on a unit with a
// fraction of the other's throughput, which modes that round between the steps feel.
QKJIT_DEVICE unsigned float_to_bf16(float x) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  unsigned halves;
  asm("cvt.rn.bf16x2.f32 %0, 0f00000000, %1;" : "=r"(halves) : "f"(x));
  return halves;
#else
  if (is_nan(x)) return kNan16;
  const unsigned bits = bits_of(x);
  return (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
#endif
}

QKJIT_DEVICE float fp16_to_float(unsigned bits) {
#if defined(__CUDA_ARCH__)
  float x;
  asm("cvt.f32.f16 %0, %1;" : "=f"(x) : "h"(static_cast<unsigned short>(bits)));
  return x;
#else
  const unsigned sign = (bits & 0x8000) << 16;
  const unsigned exponent = (bits >> 10) & 31;
  const unsigned mantissa = bits & 0x3ff;
  if (exponent == 0) {  // zero or subnormal: mantissa * 2^-24, exactly
    return float_of(bits_of(static_cast<float>(mantissa) * 0x1p-24f) | sign);
  }
  const unsigned rebiased = exponent == 31 ? 255 : exponent + 112;
  return float_of(sign | (rebiased << 23) | (mantissa << 13));
#endif
}

QKJIT_DEVICE unsigned float_to_fp16(float x) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  unsigned halves;
  asm("cvt.rn.f16x2.f32 %0, 0f00000000, %1;" : "=r"(halves) : "f"(x));
  return halves;
#elif defined(__CUDA_ARCH__)
  unsigned short half;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(half) : "f"(x));
  return half;
#else
  if (is_nan(x)) return kNan16;
  const unsigned sign = (bits_of(x) >> 16) & 0x8000;
  const unsigned magnitude = bits_of(x) & 0x7fffffff;
  if (magnitude >= bits_of(65520.0f)) return sign | 0x7c00;  // rounds to infinity
  if (magnitude < bits_of(0x1p-14f)) {  // subnormal: an ulp of [0.5, 1) is the 2^-24 we round to
    return sign | (bits_of(float_of(magnitude) + 0.5f) - bits_of(0.5f));
  }
  const unsigned rounded = magnitude + 0xfff + ((magnitude >> 13) & 1);
  return sign | ((rounded - (112u << 23)) >> 13);
#endif
}

/// How a dtype is stored, and its conversions.
template <DType kDType>
struct Format;

template <>
struct Format<DType::bf16> {
  using Storage = unsigned short;
  static QKJIT_DEVICE float load(Storage bits) { return bf16_to_float(bits); }
  static QKJIT_DEVICE Storage store(float x) { return static_cast<Storage>(float_to_bf16(x)); }
};

template <>
struct Format<DType::fp16> {
  using Storage = unsigned short;
  static QKJIT_DEVICE float load(Storage bits) { return fp16_to_float(bits); }
  static QKJIT_DEVICE Storage store(float x) { return static_cast<Storage>(float_to_fp16(x)); }
};

template <>
struct Format<DType::fp32> {
  using Storage = float;
  static QKJIT_DEVICE float load(Storage x) { return x; }
  static QKJIT_DEVICE Storage store(float x) { return is_nan(x) ? float_of(kNan32) : x; }
};

/// The value that a store and a load would give back.
template <DType kDType>
QKJIT_DEVICE float round_to(float x) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  if constexpr (kDType == DType::bf16) {  // in the high half it is its own fp32 value
    unsigned halves;
    asm("cvt.rn.bf16x2.f32 %0, %1, 0f00000000;" : "=r"(halves) : "f"(x));
    return float_of(halves);
  }
#endif
  using F = Format<kDType>;
  return F::load(F::store(x));
}

}  // namespace qkjit
