// The argument struct and geometry of the generic kernel, shared with the host.
#pragma once

#include "params.cuh"

namespace qkjit {

struct GenericParams {
  Params common;
  Slices slices;
  Spec spec;
  float inv_head_dim;  ///< 1 / head_dim, rounded to fp32
  int lanes;           ///< threads that share a row, a power of two up to 32
  bool wide_rows;      ///< every row of every tensor and both weights lie on 16 bytes
  bool wide_table;     ///< so does cos_sin_cache
};

static_assert(sizeof(GenericParams) == 224,
              "host and device must agree: change both sides and this size");

constexpr int kGenericMaxHeadDim = 1024;
constexpr int kGenericThreads = 128;

/// Chunks that a lane holds of a row, at most: what the kernel is compiled for. The small one
/// serves rows of up to 32 chunks, and has registers left for a second row.
constexpr int kGenericFewSlots = 1;
constexpr int kGenericManySlots = kGenericMaxHeadDim / kChunk / 32;

/// Rows that a lane group has in flight.
QKJIT_CONSTEXPR int generic_rows(int slots) { return slots == kGenericFewSlots ? 2 : 1; }

}  // namespace qkjit
