// The argument struct and geometry of the generic kernel, shared with the host.
#pragma once

#include "params.cuh"
#include "variant.cuh"

namespace qkjit {

/// How the generic kernel divides a warp.
struct LaneGroups {
  int lanes;  ///< of a group, up to 32: a power of two if they have more than two chunks each
  int half;   ///< the largest power of two below `lanes`; 0 if there is one lane
  unsigned per_warp;
  Divisor by_lanes;  ///< divides by `lanes`
};

struct GenericParams {
  Params common;
  Slices slices;  ///< as many rows as one lane group has in flight, not a warp
  Spec spec;
  float inv_head_dim;  ///< 1 / head_dim, rounded to fp32
  LaneGroups groups;
  Pairing pairing;   ///< of neox; in_lane: a lane's two chunks are partners
  bool whole_rows;   ///< rows of all tensors and both weights are whole chunks and lie on 16 bytes
  bool plain_table;  ///< see has_plain_table()
  bool wide_table;   ///< cosines and sines of all rows lie on 16 bytes
};

static_assert(sizeof(GenericParams) == 296,
              "host and device must agree: change both sides and this size");

constexpr int kGenericMaxHeadDim = 1024;
constexpr int kGenericThreads = 128;

/// Chunks that a lane holds of a row, at most: what the kernel is compiled for.
constexpr int kGenericMaxSlots = kGenericMaxHeadDim / kChunk / 32;
constexpr int kGenericSlots[] = {1, 2, kGenericMaxSlots};

/// Rows that a lane group has in flight, as far as there are registers for them.
QKJIT_CONSTEXPR int generic_rows(int slots) { return slots < kGenericMaxSlots ? 2 : 1; }

/// Blocks that registers must leave room for on a multiprocessor: as many as cost next to no
/// spills.
QKJIT_CONSTEXPR int generic_blocks(int slots) { return slots == 1 ? 8 : slots == 2 ? 5 : 4; }

}  // namespace qkjit
