// Variants for any spec, from its shape alone.
#pragma once

#include <algorithm>
#include <bit>

#include "kernels/tile.cuh"

namespace qkjit {

/// Up to 32 lanes a row with one 16-byte access each, or two where a row is as short as 128 bytes;
/// with neox, fewer lanes where that keeps pairs in a lane, down to four chunks a lane.
constexpr int default_lanes(const Spec& spec) {
  const int padded = next_power_of_two(spec.head_dim / kChunk);
  const int most = std::min(padded, 32);
  if (!rotates_neox(spec)) return padded == 8 ? 4 : most;
  for (int lanes = most; lanes > 0 && lanes * 4 >= padded; lanes /= 2) {
    if (neox_pairs_in_lane(spec, lanes)) return lanes;
  }
  return most;
}

/// Staged in registers, two rows in flight and 4 KiB a block: what a copy of 256 threads has in
/// flight. More at once costs the memory system its order, less costs instructions
/// (docs/kernels.md).
constexpr Variant default_variant(const Spec& spec) {
  constexpr unsigned kBlockBytes = 4096;
  const int lanes = default_lanes(spec);
  const int row_bytes = spec.head_dim * (spec.dtype == DType::fp32 ? 4 : 2);
  const auto warps = kBlockBytes / static_cast<unsigned>(32 / lanes * 2 * row_bytes);
  return {.lanes = lanes,
          .rows = 2,
          .threads = static_cast<int>(32 * std::bit_floor(std::clamp(warps, 1u, 8u)))};
}

/// Whether a power of two of lanes leaves many without a chunk.
constexpr bool has_odd_rows(const Spec& spec) {
  const int chunks = spec.head_dim / kChunk;
  return next_power_of_two(chunks) != chunks;
}

/// For rows that are no power of two of chunks, with heads without gaps: a lane for each two chunks
/// or for each one, and bulk loads, since such rows lie across cache lines.
constexpr Variant odd_row_variant(const Spec& spec) {
  const int chunks = spec.head_dim / kChunk;
  const bool by_two = chunks % 2 == 0 && chunks / 2 <= 32;
  const int lanes = by_two ? chunks / 2 : chunks <= 32 ? chunks : 32;
  return {.lanes = lanes,
          .rows = by_two ? 2 : 4,
          .threads = 64,
          .staging = Staging::bulk_load,
          .pdl = true};
}

}  // namespace qkjit
