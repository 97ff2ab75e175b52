// Device memory to registers and back: where a row lies, and 16-byte accesses to its chunks.
#pragma once

#include "dtype.cuh"
#include "params.cuh"

namespace qkjit {

/// One row of q or k.
struct RowView {
  const Rows& rows;
  unsigned token;
  unsigned head;

  QKJIT_DEVICE long long in_offset() const {
    return token * rows.in_token_stride + head * rows.in_head_stride;
  }
  QKJIT_DEVICE long long out_offset() const {
    return token * rows.out_token_stride + head * rows.out_head_stride;
  }
};

/// Rows are numbered token by token, q's heads before k's.
QKJIT_DEVICE RowView find_row(const Params& p, unsigned row) {
  const unsigned heads = p.q.heads + p.k.heads;
  const unsigned token = row / heads;
  const unsigned head = row - token * heads;
  const bool is_q = head < p.q.heads;
  return {is_q ? p.q : p.k, token, is_q ? head : head - p.q.heads};
}

/// The token's row of cos_sin_cache.
QKJIT_DEVICE const float* find_angles(const Params& p, Positions positions, int rope_dim,
                                      unsigned token) {
  long long row = p.position_offset;
  switch (positions) {
    case Positions::int64:
      row += static_cast<const long long*>(p.positions)[token];
      break;
    case Positions::int32:
      row += static_cast<const int*>(p.positions)[token];
      break;
    case Positions::implicit:
      row += token;
      break;
  }
  return p.cos_sin_cache + row * rope_dim;
}

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
