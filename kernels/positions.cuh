// Where a token stands on an axis of positions.
#pragma once

#include "params.cuh"
#include "platform.cuh"

namespace qkjit {

/// The position that `index` of an array has, or where there is none the index.
QKJIT_DEVICE long long given_position(const Params& p, Positions positions, long long index) {
  if (positions == Positions::int64) return static_cast<const long long*>(p.positions)[index];
  if (positions == Positions::int32) return static_cast<const int*>(p.positions)[index];
  return index;
}

/// A token's coordinate. Sequences of a folded batch are grids of the same extents.
QKJIT_DEVICE long long grid_position(const PositionGrid& grid, int axis, unsigned token) {
  const unsigned row = token / grid.by_extents[2];
  if (axis == 2) return grid.first[2] + (token - row * grid.extents[2]);
  const unsigned frame = row / grid.by_extents[1];
  if (axis == 1) return grid.first[1] + (row - frame * grid.extents[1]);
  return grid.first[0] + (frame - frame / grid.by_extents[0] * grid.extents[0]);
}

/// The last segment that begins at the token or before it, so never an empty one.
QKJIT_DEVICE unsigned find_segment(const int* begins, unsigned count, int token) {
  unsigned first = 0;  // it is one of `count` from this one on
  while (count > 1) {
    const unsigned half = count / 2;
    const bool is_later = begins[first + half] <= token;
    first = is_later ? first + half : first;
    count = is_later ? count - half : half;
  }
  return first;
}

QKJIT_DEVICE long long segment_position(const Params& p, int token) {
  const int* const begins = static_cast<const int*>(p.positions);
  const unsigned segment = find_segment(begins, p.segments.count, token);
  const long long in_segment = token - begins[segment];
  return in_segment + p.segments.offsets[segment];
}

/// A token's position on an axis, before the call's offset.
QKJIT_DEVICE long long position_of(const Params& p, Positions positions, int axis, unsigned token) {
  if (positions == Positions::grid) return grid_position(p.grid, axis, token);
  if (positions == Positions::segments) return segment_position(p, static_cast<int>(token));
  const long long index = axis == 0 ? token : axis * p.position_axis_stride + token;
  return given_position(p, positions, index);
}

}  // namespace qkjit
