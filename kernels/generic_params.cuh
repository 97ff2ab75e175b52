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
};

static_assert(sizeof(GenericParams) == 272,
              "host and device must agree: change both sides and this size");

constexpr int kGenericMaxHeadDim = 1024;
constexpr int kGenericThreads = 128;

/// Chunks that a lane holds of a row, at most: what the kernel is compiled for. The small one
/// serves rows of up to 32 chunks, and has registers left for a second row.
constexpr int kGenericFewSlots = 1;
constexpr int kGenericManySlots = kGenericMaxHeadDim / kChunk / 32;

/// Rows that a lane group has in flight.
QKJIT_CONSTEXPR int generic_rows(int slots) { return slots == kGenericFewSlots ? 2 : 1; }

/// Most rope_dim of a table with a value for each element.
constexpr int kGenericMaxByElement = 512;

/// Cosines and sines of a token: rope_dim of them, or twice as many by element.
QKJIT_CONSTEXPR int generic_angle_values(int slots) {
  const int most = 32 * slots * kChunk;
  return 2 * most < 2 * kGenericMaxByElement ? 2 * most : 2 * kGenericMaxByElement;
}

}  // namespace qkjit
