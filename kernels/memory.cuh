// Device memory to registers and back, 16 bytes at a time.
#pragma once

#include "dtype.cuh"

namespace qkjit {

/// N floats, N a multiple of 4, from a 16-byte boundary.
template <int kCount>
QKJIT_DEVICE void load_floats(const float* from, float (&to)[kCount]) {
#pragma unroll
  for (int i = 0; i < kCount; i += 4) {
    const float4 v = *reinterpret_cast<const float4*>(from + i);
    to[i] = v.x, to[i + 1] = v.y, to[i + 2] = v.z, to[i + 3] = v.w;
  }
}

/// Two 16-bit values in one register, the first in the low half.
template <DType kDType>
QKJIT_DEVICE unsigned pack(float low, float high) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  unsigned packed;
  if constexpr (kDType == DType::bf16) {
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(high), "f"(low));
  } else {
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(high), "f"(low));
  }
  return packed;
#else
  using F = Format<kDType>;
  return F::store(low) | static_cast<unsigned>(F::store(high)) << 16;
#endif
}

/// A chunk of a tensor of kDType, from a 16-byte boundary, to fp32.
template <DType kDType>
QKJIT_DEVICE void load_chunk(const void* tensor, long long offset, float (&x)[kChunk]) {
  if constexpr (kDType == DType::fp32) {
    load_floats(static_cast<const float*>(tensor) + offset, x);
  } else {
    using F = Format<kDType>;
    const auto* from = static_cast<const unsigned short*>(tensor) + offset;
    const uint4 v = *reinterpret_cast<const uint4*>(from);
    const unsigned words[4] = {v.x, v.y, v.z, v.w};
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      x[2 * i] = F::load(static_cast<unsigned short>(words[i]));
      x[2 * i + 1] = F::load(static_cast<unsigned short>(words[i] >> 16));
    }
  }
}

/// The reverse of load_chunk, rounding to kDType.
template <DType kDType>
QKJIT_DEVICE void store_chunk(void* tensor, long long offset, const float (&x)[kChunk]) {
  if constexpr (kDType == DType::fp32) {
    float* to = static_cast<float*>(tensor) + offset;
    float v[kChunk];
#pragma unroll
    for (int i = 0; i < kChunk; ++i) v[i] = Format<kDType>::store(x[i]);
    *reinterpret_cast<float4*>(to) = float4{v[0], v[1], v[2], v[3]};
    *reinterpret_cast<float4*>(to + 4) = float4{v[4], v[5], v[6], v[7]};
  } else {
    auto* to = static_cast<unsigned short*>(tensor) + offset;
    *reinterpret_cast<uint4*>(to) = uint4{pack<kDType>(x[0], x[1]), pack<kDType>(x[2], x[3]),
                                          pack<kDType>(x[4], x[5]), pack<kDType>(x[6], x[7])};
  }
}

}  // namespace qkjit
