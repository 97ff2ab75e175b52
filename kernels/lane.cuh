// Which rows and elements of a slice a lane has.
#pragma once

#include "tile.cuh"

namespace qkjit {

template <class T>
struct Lane {
  unsigned in_warp = threadIdx.x % 32;
  unsigned in_group = threadIdx.x % 32 % T::kLanes;
  /// Lanes that are left over stand in the first group, but have no rows.
  unsigned group = threadIdx.x % 32 / T::kLanes % T::kGroupsPerWarp;
  bool is_left_over = threadIdx.x % 32 >= T::kGroupsPerWarp * T::kLanes;

  /// The slice's row that this lane's group has as its i-th.
  QKJIT_DEVICE unsigned row(int i) const { return i * T::kGroupsPerWarp + group; }
  QKJIT_DEVICE bool has_row(int i, unsigned rows) const { return row(i) < rows && !is_left_over; }
  QKJIT_DEVICE int first_element(int slot) const {
    const unsigned run = in_group / T::kRun, in_run = in_group % T::kRun;
    return static_cast<int>((run * T::kSlots + slot) * T::kRun + in_run) * kChunk;
  }
};

/// One row, in fp32, as its lanes hold it. Past its end it is zero, which pads the sum.
template <class T>
using LaneRow = float[T::kSlots][kChunk];

}  // namespace qkjit
