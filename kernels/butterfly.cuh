// The butterfly of arithmetic.cuh over rows whose chunks lie in a lane group. Shapes are arguments,
// so that the generic kernel calls the same functions; in the fused kernel they are constants.
#pragma once

#include "arithmetic.cuh"

namespace qkjit {

// All lanes of a warp stay together, also those without a row or past its end: shuffles then need
// no test of who is there.
inline constexpr unsigned kWholeWarp = 0xffffffff;

/// A lane of a group of `lanes`, whose chunks are number in_group, in_group + lanes, ... of a row.
struct GroupLane {
  int lanes;
  int half;   ///< the largest power of two below `lanes`; 0 if there is one lane
  int first;  ///< the group's first lane in the warp
  int in_group;
};

/// The steps between a lane's own chunks, if lanes are a power of two.
template <int kSlots>
QKJIT_DEVICE float add_slots(float (&sums)[kSlots]) {
#pragma unroll
  for (int d = next_power_of_two(kSlots) / 2; d > 0; d /= 2) {
#pragma unroll
    for (int slot = 0; slot < d && slot + d < kSlots; ++slot) {
      sums[slot] = add_rn(sums[slot], sums[slot + d]);
    }
  }
  return sums[0];
}

/// The steps between lanes, if they are a power of two.
template <int kRows>
QKJIT_DEVICE void add_even_lanes(int lanes, float (&sums)[kRows]) {
#pragma unroll
  for (int d = 16; d > 0; d /= 2) {
    if (d >= lanes) continue;
#pragma unroll
    for (int i = 0; i < kRows; ++i) {
      sums[i] = add_rn(sums[i], __shfl_xor_sync(kWholeWarp, sums[i], d));
    }
  }
}

/// All steps for any number of lanes with one or two chunks each. Lane c follows sum c of the
/// butterfly, which is padded with zeros. After the step over `half`, sums c and c + half are
/// equal, so that a sum below `half` stands for one that no lane follows.
template <int kRows, int kSlots>
QKJIT_DEVICE void add_odd_lanes(const GroupLane& lane, const float (&chunks)[kRows][kSlots],
                                float (&sums)[kRows]) {
  static_assert(kSlots <= 2, "a lane has one chunk or two: take a power of two of lanes for more");
  const int first = lane.first, c = lane.in_group;
  const auto ask = [&](float value, int of) { return __shfl_sync(kWholeWarp, value, first + of); };
  const int beyond = c + 2 * lane.half, across = c ^ lane.half;
#pragma unroll
  for (int i = 0; i < kRows; ++i) {
    float sum = chunks[i][0], other = 0;
    if constexpr (kSlots == 2) {  // chunks from number `lanes` on are second ones
      const float second = chunks[i][1];
      other = ask(second, beyond - lane.lanes);
      sum = add_rn(sum, beyond < 2 * lane.lanes ? other : 0);
      other = ask(second, across - lane.lanes);  // nothing was added to this one
    }
    const float inside = ask(sum, across);
    sums[i] = add_rn(sum, across < lane.lanes ? inside : other);
  }
#pragma unroll
  for (int d = 8; d > 0; d /= 2) {
    if (d >= lane.half) continue;
#pragma unroll
    for (int i = 0; i < kRows; ++i) {
      sums[i] = add_rn(sums[i], ask(sums[i], (c ^ d) & (lane.half - 1)));
    }
  }
}

/// All steps for a power of two of lanes.
template <int kRows, int kSlots>
QKJIT_DEVICE void add_even_chunks(int lanes, float (&chunks)[kRows][kSlots], float (&sums)[kRows]) {
#pragma unroll
  for (int i = 0; i < kRows; ++i) sums[i] = add_slots(chunks[i]);
  add_even_lanes(lanes, sums);
}

/// Every lane gets its rows' sums of the sums of their chunks. The rows go side by side, so that
/// their shuffles overlap.
template <int kRows, int kSlots>
QKJIT_DEVICE void add_chunks(const GroupLane& lane, float (&chunks)[kRows][kSlots],
                             float (&sums)[kRows]) {
  if constexpr (kSlots <= 2) {
    if (lane.lanes != 2 * lane.half && lane.lanes != 1) {
      return add_odd_lanes(lane, chunks, sums);
    }
  }
  add_even_chunks(lane.lanes, chunks, sums);
}

}  // namespace qkjit
