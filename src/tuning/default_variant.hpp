// A variant for any spec, from its shape alone.
#pragma once

#include <algorithm>
#include <bit>

#include "kernels/tile.cuh"

namespace qkjit {

/// One 16-byte access a lane and up to 32 lanes a row; with neox, fewer lanes where that keeps
/// pairs in a lane, down to four chunks a lane.
constexpr int default_lanes(const Spec& spec) {
  const int padded = next_power_of_two(spec.head_dim / kChunk);
  const int most = std::min(padded, 32);
  if (spec.layout != Layout::neox) return most;
  for (int lanes = most; lanes > 0 && lanes * 4 >= padded; lanes /= 2) {
    if (neox_pairs_in_lane(spec, lanes)) return lanes;
  }
  return most;
}

/// Two rows in flight and 4 KiB a block: what a copy of 256 threads has in flight. More at once
/// costs the memory system its order, less costs instructions (docs/kernels.md).
constexpr Variant default_variant(const Spec& spec) {
  constexpr unsigned kBlockBytes = 4096;
  const int lanes = default_lanes(spec);
  const int row_bytes = spec.head_dim * (spec.dtype == DType::fp32 ? 4 : 2);
  const auto warps = kBlockBytes / static_cast<unsigned>(32 / lanes * 2 * row_bytes);
  return {.lanes = lanes,
          .rows = 2,
          .threads = static_cast<int>(32 * std::bit_floor(std::clamp(warps, 1u, 8u)))};
}

}  // namespace qkjit
