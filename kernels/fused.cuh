// The fused kernel: RMSNorm of every head of q and k, and the rotary embedding, in one pass over
// memory. A group of lanes owns one row (one head of one token) and keeps it in registers from its
// only load to its only store, so in place is as good as out of place.
#pragma once

#include "arithmetic.cuh"
#include "memory.cuh"
#include "rope.cuh"
#include "rows.cuh"
#include "tile.cuh"

namespace qkjit {

/// The butterfly of arithmetic.cuh over a lane group: every lane gets the row's sum of squares.
template <class T>
QKJIT_DEVICE float sum_row(const LaneRow<T>& x, unsigned group) {
  float sums[T::kSlots];
#pragma unroll
  for (int slot = 0; slot < T::kSlots; ++slot) sums[slot] = sum_of_squares(x[slot]);
#pragma unroll
  for (int d = T::kSlots / 2; d > 0; d /= 2) {
#pragma unroll
    for (int slot = 0; slot < d; ++slot) sums[slot] = add_rn(sums[slot], sums[slot + d]);
  }
#pragma unroll
  for (int d = T::kLanes / 2; d > 0; d /= 2) {
    sums[0] = add_rn(sums[0], __shfl_xor_sync(group, sums[0], d));
  }
  return sums[0];
}

/// The lanes of this thread's group as a warp mask.
template <class T>
QKJIT_DEVICE unsigned lane_group() {
  return (0xffffffffu >> (32 - T::kLanes)) << (threadIdx.x % 32 / T::kLanes * T::kLanes);
}

template <Spec kSpec, Variant kVariant>
static QKJIT_DEVICE void fused(const Params& p) {
  using T = Tile<kSpec, kVariant>;
  const unsigned lane = threadIdx.x % T::kLanes;
  const unsigned group = lane_group<T>();
  const unsigned row_index = blockIdx.x * T::kRowsPerBlock + threadIdx.x / T::kLanes;
  if (row_index >= p.row_count) return;  // a lane group leaves as a whole
  const RowView row = find_row(p, row_index);
  const auto first_element = [&](int slot) { return (lane + slot * T::kLanes) * kChunk; };

  // Load. Slots past the end of the row stay zero, which pads the sum.
  LaneRow<T> y = {};
#pragma unroll
  for (int slot = 0; slot < T::kSlots; ++slot) {
    if (first_element(slot) >= kSpec.head_dim) continue;
    load_chunk<kSpec.dtype>(row.rows.in, row.in_offset() + first_element(slot), y[slot]);
  }

  // Normalise.
  const float r = reciprocal_rms(sum_row<T>(y, group), T::kInvHeadDim, p.eps);
#pragma unroll
  for (int slot = 0; slot < T::kSlots; ++slot) {
    if (first_element(slot) >= kSpec.head_dim) continue;
    float w[kChunk];
    load_chunk<kSpec.dtype>(row.rows.weight, first_element(slot), w);
#pragma unroll
    for (int i = 0; i < kChunk; ++i) {
      y[slot][i] = normalize<kSpec.dtype>(kSpec.rounding, y[slot][i], r, w[i]);
    }
  }

  // Rotate.
  if constexpr (kSpec.rope_dim > 0) {
    const float* cosines = find_angles(p, kSpec.positions, kSpec.rope_dim, row.token);
    if constexpr (kSpec.layout == Layout::interleaved) {
      rotate_interleaved<kSpec, T>(y, lane, cosines);
    } else if constexpr (T::kNeoxInLane) {
      rotate_neox_in_lane<kSpec, T>(y, lane, cosines);
    } else {
      __shared__ float rows[T::kRowsPerBlock][kSpec.head_dim];
      rotate_neox_by_exchange<kSpec, T>(y, lane, cosines, rows[threadIdx.x / T::kLanes], group);
    }
  }

  // Store.
#pragma unroll
  for (int slot = 0; slot < T::kSlots; ++slot) {
    if (first_element(slot) >= kSpec.head_dim) continue;
    store_chunk<kSpec.dtype>(row.rows.out, row.out_offset() + first_element(slot), y[slot]);
  }
}

}  // namespace qkjit
