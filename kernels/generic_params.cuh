// The argument struct and geometry of the generic kernel, shared with the host.
#pragma once

#include "params.cuh"

namespace qkjit {

struct GenericParams {
  Params common;
  Spec spec;
  float inv_head_dim;  ///< 1 / head_dim, rounded to fp32
  Divisor by_heads;    ///< divides by q.heads + k.heads
  int lanes;           ///< threads that share a row, a power of two up to 32
  bool wide_rows;      ///< every row of every tensor and both weights lie on 16 bytes
  bool wide_table;     ///< so does cos_sin_cache
};

static_assert(sizeof(GenericParams) == 208,
              "host and device must agree: change both sides and this size");

constexpr int kGenericMaxHeadDim = 1024;
constexpr int kGenericThreads = 128;

/// Chunks that a lane holds, at most: what the kernel is compiled for. The small one serves rows
/// of up to 32 chunks, with few registers.
constexpr int kGenericFewSlots = 1;
constexpr int kGenericManySlots = kGenericMaxHeadDim / kChunk / 32;

}  // namespace qkjit
