// How the fused kernel spreads rows over threads: all of its compile-time geometry.
#pragma once

#include "spec.cuh"

namespace qkjit {

/// With neox the partner of chunk c is chunk c + rope_dim/16. Some lane counts put both in one
/// lane, where the rotation needs no exchange; 0 if the halves are not whole chunks.
QKJIT_CONSTEXPR int neox_partner_distance(const Spec& spec) {
  return spec.rope_dim % (2 * kChunk) == 0 ? spec.rope_dim / (2 * kChunk) : 0;
}

QKJIT_CONSTEXPR bool neox_pairs_in_lane(const Spec& spec, int lanes) {
  const int distance = neox_partner_distance(spec);
  return distance > 0 && distance % lanes == 0;
}

/// Chunk c of a row belongs to lane c % lanes of the row's lane group, in its slot c / lanes: lanes
/// access neighbouring memory, and the butterfly over chunks is first one over slots (in
/// registers), then one over lanes (by shuffles).
template <Spec kSpec, Variant kVariant>
struct Tile {
  static constexpr int kChunks = kSpec.head_dim / kChunk;
  static constexpr int kPadded = next_power_of_two(kChunks);
  static constexpr int kLanes = kVariant.lanes;
  static constexpr int kSlots = kPadded / kLanes;
  static constexpr int kRowsPerBlock = kVariant.threads / kLanes;
  static constexpr bool kNeoxInLane = neox_pairs_in_lane(kSpec, kLanes);
  static constexpr int kNeoxSlots = neox_partner_distance(kSpec) / kLanes;  // between partners
  static constexpr float kInvHeadDim = 1.0f / static_cast<float>(kSpec.head_dim);

  static_assert(
      kSpec.head_dim % kChunk == 0 && 8 <= kSpec.head_dim && kSpec.head_dim <= 512,
      "head_dim must be a multiple of 8 from 8 to 512: use the generic kernel for others");
  static_assert(kSpec.rope_dim % 2 == 0 && 0 <= kSpec.rope_dim && kSpec.rope_dim <= kSpec.head_dim,
                "rope_dim must be even and at most head_dim: rotate fewer elements");
  static_assert(0 < kLanes && kLanes <= 32 && next_power_of_two(kLanes) == kLanes,
                "lanes must be a power of two up to 32: rows are reduced by shuffles in a warp");
  static_assert(kPadded % kLanes == 0,
                "lanes must not exceed the chunks of a row: take fewer lanes");
  static_assert(kVariant.threads % 32 == 0 && kVariant.threads <= 1024,
                "threads must be whole warps of one block: take a multiple of 32 up to 1024");
};

/// One 16-byte access a lane and up to 32 lanes a row; with neox, fewer lanes where that keeps
/// pairs in a lane, down to four chunks a lane.
QKJIT_CONSTEXPR Variant default_variant(const Spec& spec) {
  const int padded = next_power_of_two(spec.head_dim / kChunk);
  const int most = padded < 32 ? padded : 32;
  int lanes = most;
  if (spec.layout == Layout::neox) {
    while (lanes > 1 && lanes * 4 > padded && !neox_pairs_in_lane(spec, lanes)) lanes /= 2;
    if (!neox_pairs_in_lane(spec, lanes)) lanes = most;
  }
  return {.lanes = lanes, .threads = 128};
}

}  // namespace qkjit
