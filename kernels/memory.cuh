// From memory to registers and back, 16 bytes at a time.
#pragma once

#include "dtype.cuh"
#include "variant.cuh"

namespace qkjit {

/// N floats, N a multiple of 4, from a 16-byte boundary.
template <int kCount>
QKJIT_DEVICE void load_floats(const float* from, float* to) {
#pragma unroll
  for (int i = 0; i < kCount; i += 4) {
    const float4 v = *reinterpret_cast<const float4*>(from + i);
    to[i] = v.x, to[i + 1] = v.y, to[i + 2] = v.z, to[i + 3] = v.w;
  }
}

QKJIT_DEVICE uint4 load_16_bytes([[maybe_unused]] Hint hint, const uint4* from) {
#if defined(__CUDACC__)
  if (hint == Hint::streaming) return __ldcs(from);
#endif
  return *from;
}

QKJIT_DEVICE void store_16_bytes([[maybe_unused]] Hint hint, uint4* to, uint4 value) {
#if defined(__CUDACC__)
  if (hint == Hint::streaming) return __stcs(to, value);
#endif
  *to = value;
}

QKJIT_DEVICE void store_8_bytes([[maybe_unused]] Hint hint, uint2* to, uint2 value) {
#if defined(__CUDACC__)
  if (hint == Hint::streaming) return __stcs(to, value);
#endif
  *to = value;
}

/// Two 16-bit values in one register, the first in the low half.
template <DType kDType>
QKJIT_DEVICE unsigned pack_pair(float low, float high) {
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

/// A chunk of a row as it is stored: half the registers of its values, so rows in flight wait in
/// this form.
template <DType kDType>
struct Chunk {
  using Storage = typename Format<kDType>::Storage;
  static constexpr int kWords = kDType == DType::fp32 ? 2 : 1;
  uint4 words[kWords];

  static QKJIT_DEVICE Chunk of(const Storage (&x)[kChunk]) {
    if constexpr (kDType == DType::fp32) {
      return {{uint4{bits_of(x[0]), bits_of(x[1]), bits_of(x[2]), bits_of(x[3])},
               uint4{bits_of(x[4]), bits_of(x[5]), bits_of(x[6]), bits_of(x[7])}}};
    } else {
      unsigned pairs[4];
#pragma unroll
      for (int i = 0; i < 4; ++i) pairs[i] = x[2 * i] | static_cast<unsigned>(x[2 * i + 1]) << 16;
      return {{uint4{pairs[0], pairs[1], pairs[2], pairs[3]}}};
    }
  }

  /// `from` lies on 16 bytes.
  static QKJIT_DEVICE Chunk load(const void* from, Hint hint = Hint::normal) {
    Chunk chunk;
#pragma unroll
    for (int i = 0; i < kWords; ++i) {
      chunk.words[i] = load_16_bytes(hint, static_cast<const uint4*>(from) + i);
    }
    return chunk;
  }
  QKJIT_DEVICE void store(void* to, Hint hint = Hint::normal) const {
#pragma unroll
    for (int i = 0; i < kWords; ++i) store_16_bytes(hint, static_cast<uint4*>(to) + i, words[i]);
  }

  QKJIT_DEVICE void unpack(float (&x)[kChunk]) const {
    if constexpr (kDType == DType::fp32) {
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        x[4 * i] = float_of(words[i].x), x[4 * i + 1] = float_of(words[i].y);
        x[4 * i + 2] = float_of(words[i].z), x[4 * i + 3] = float_of(words[i].w);
      }
    } else {
      using F = Format<kDType>;
      const unsigned pairs[4] = {words[0].x, words[0].y, words[0].z, words[0].w};
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        x[2 * i] = F::load(static_cast<unsigned short>(pairs[i]));
        x[2 * i + 1] = F::load(static_cast<unsigned short>(pairs[i] >> 16));
      }
    }
  }
  /// The reverse, rounding to kDType.
  static QKJIT_DEVICE Chunk pack(const float (&x)[kChunk]) {
    if constexpr (kDType == DType::fp32) {
      unsigned v[kChunk];
#pragma unroll
      for (int i = 0; i < kChunk; ++i) v[i] = bits_of(Format<kDType>::store(x[i]));
      return {{uint4{v[0], v[1], v[2], v[3]}, uint4{v[4], v[5], v[6], v[7]}}};
    } else {
      return {{uint4{pack_pair<kDType>(x[0], x[1]), pack_pair<kDType>(x[2], x[3]),
                     pack_pair<kDType>(x[4], x[5]), pack_pair<kDType>(x[6], x[7])}}};
    }
  }
};

}  // namespace qkjit
