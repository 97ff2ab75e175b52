// Rotation of a row that is spread over the registers of a lane group, one function for each way in
// which the partners of a pair can lie.
#pragma once

#include "arithmetic.cuh"
#include "memory.cuh"
#include "tile.cuh"

namespace qkjit {

/// The chunks of one row that one lane holds, in fp32.
template <class T>
using LaneRow = float[T::kSlots][kChunk];

/// Pairs (2i, 2i+1): both elements are neighbours in a chunk.
template <Spec kSpec, class T>
QKJIT_DEVICE void rotate_interleaved(LaneRow<T>& y, unsigned lane, const float* cosines) {
  const float* sines = cosines + kSpec.rope_dim / 2;
  constexpr int kPairs = kChunk / 2;
#pragma unroll
  for (int slot = 0; slot < T::kSlots; ++slot) {
    const int first = (lane + slot * T::kLanes) * kPairs;  // the chunk's first pair
    float c[kPairs] = {}, s[kPairs] = {};
    if constexpr (kSpec.rope_dim % kChunk == 0) {
      if (2 * first >= kSpec.rope_dim) continue;
      load_floats(cosines + first, c);
      load_floats(sines + first, s);
    } else {  // the rotated part ends inside a chunk, and rows of the table start anywhere
#pragma unroll
      for (int i = 0; i < kPairs; ++i) {
        if (2 * (first + i) < kSpec.rope_dim) c[i] = cosines[first + i], s[i] = sines[first + i];
      }
    }
#pragma unroll
    for (int i = 0; i < kPairs; ++i) {
      if (2 * (first + i) >= kSpec.rope_dim) continue;
      const Pair o =
          rotate<kSpec.dtype>(kSpec.rounding, {y[slot][2 * i], y[slot][2 * i + 1]}, c[i], s[i]);
      y[slot][2 * i] = o.first, y[slot][2 * i + 1] = o.second;
    }
  }
}

/// Pairs (i, i + rope_dim/2) whose chunks lie in two slots of the same lane.
template <Spec kSpec, class T>
QKJIT_DEVICE void rotate_neox_in_lane(LaneRow<T>& y, unsigned lane, const float* cosines) {
#pragma unroll
  for (int slot = 0; slot < T::kNeoxSlots; ++slot) {
    const int first = (lane + slot * T::kLanes) * kChunk;
    float c[kChunk], s[kChunk];
    load_floats(cosines + first, c);
    load_floats(cosines + kSpec.rope_dim / 2 + first, s);
#pragma unroll
    for (int i = 0; i < kChunk; ++i) {
      const Pair o =
          rotate<kSpec.dtype>(kSpec.rounding, {y[slot][i], y[slot + T::kNeoxSlots][i]}, c[i], s[i]);
      y[slot][i] = o.first, y[slot + T::kNeoxSlots][i] = o.second;
    }
  }
}

/// Pairs (i, i + rope_dim/2) anywhere in the row: lanes show each other their elements in shared
/// memory. `row` has room for head_dim floats and belongs to this lane group; `group` is its mask.
template <Spec kSpec, class T>
QKJIT_DEVICE void rotate_neox_by_exchange(LaneRow<T>& y, unsigned lane, const float* cosines,
                                          float* row, unsigned group) {
  constexpr int kHalf = kSpec.rope_dim / 2;
#pragma unroll
  for (int slot = 0; slot < T::kSlots; ++slot) {
    const int first = (lane + slot * T::kLanes) * kChunk;
    if (first >= kSpec.rope_dim) continue;
#pragma unroll
    for (int i = 0; i < kChunk; ++i) row[first + i] = y[slot][i];
  }
  __syncwarp(group);
#pragma unroll
  for (int slot = 0; slot < T::kSlots; ++slot) {
    const int first = (lane + slot * T::kLanes) * kChunk;
#pragma unroll
    for (int i = 0; i < kChunk; ++i) {
      const int element = first + i;
      if (element >= kSpec.rope_dim) continue;
      const bool is_first = element < kHalf;
      const int angle = is_first ? element : element - kHalf;
      const Pair pair = {row[angle], row[angle + kHalf]};
      const Pair o =
          rotate<kSpec.dtype>(kSpec.rounding, pair, cosines[angle], cosines[angle + kHalf]);
      y[slot][i] = is_first ? o.first : o.second;
    }
  }
}

}  // namespace qkjit
