// How the fused kernel spreads rows over threads: all of its compile-time geometry.
#pragma once

#include "variant.cuh"

namespace qkjit {

/// With neox the partner of chunk c is chunk c + rope_dim/16; 0 if the halves are not whole chunks.
QKJIT_CONSTEXPR int neox_partner_distance(const Spec& spec) {
  return spec.rope_dim % (2 * kChunk) == 0 ? spec.rope_dim / (2 * kChunk) : 0;
}

/// How many lanes in a row have neighbouring chunks, such that partners meet in one lane and turn
/// by one set of angles, where the rotation needs no exchange: all lanes, if partners are a
/// multiple of them apart; or, with two chunks a lane, as many as they are apart. The rotated part
/// begins with the chunk of a first lane. 0: there is no such number.
QKJIT_CONSTEXPR int neox_run(const Spec& spec, int lanes) {
  const int distance = neox_partner_distance(spec);
  if (spec.table_width == TableWidth::elements || distance == 0) return 0;
  const int begin = rotated_begin(spec) / kChunk;
  if (distance % lanes == 0 && begin % lanes == 0) return lanes;
  const bool halves = next_power_of_two(lanes) == lanes && 2 * lanes * kChunk == spec.head_dim;
  const bool whole_runs = lanes % distance == 0 && begin % (2 * distance) == 0;
  return halves && whole_runs ? distance : 0;
}

QKJIT_CONSTEXPR bool neox_pairs_in_lane(const Spec& spec, int lanes) {
  return neox_run(spec, lanes) > 0;
}

QKJIT_CONSTEXPR bool is_lane_count(const Spec& spec, int lanes) {
  const int chunks = spec.head_dim / kChunk;
  const bool is_power = next_power_of_two(lanes) == lanes;
  const bool one_or_two_each = lanes == chunks || 2 * lanes == chunks;
  return 0 < lanes && lanes <= 32 &&
         (one_or_two_each || (is_power && lanes <= next_power_of_two(chunks)));
}

/// How the variant pairs the spec's elements: shuffles need every chunk of a row in a lane of its
/// own, and halves of whole quads.
QKJIT_CONSTEXPR Pairing pairing_of(const Spec& spec, const Variant& variant) {
  if (variant.pairing == Pairing::in_lane && neox_pairs_in_lane(spec, variant.lanes)) {
    return Pairing::in_lane;
  }
  const bool can_shuffle = spec.head_dim <= variant.lanes * kChunk && spec.rope_dim % kChunk == 0;
  return can_shuffle && variant.pairing != Pairing::exchange ? Pairing::shuffle : Pairing::exchange;
}

QKJIT_CONSTEXPR bool rotates_neox(const Spec& spec) {
  return spec.layout == Layout::neox && spec.rope_dim > 0;
}

/// Whether a block has shared memory in which lanes show each other what they hold.
QKJIT_CONSTEXPR bool exchanges(const Spec& spec, const Variant& variant) {
  return rotates_neox(spec) && pairing_of(spec, variant) == Pairing::exchange;
}

/// Neighbouring lanes whose chunks are neighbours.
QKJIT_CONSTEXPR int run_of(const Spec& spec, const Variant& variant) {
  const bool in_lane = rotates_neox(spec) && pairing_of(spec, variant) == Pairing::in_lane;
  return in_lane ? neox_run(spec, variant.lanes) : variant.lanes;
}

/// Shared memory in which a block, or a warp, that stages a token has all its heads of q or of k,
/// and a sum of each, in whole 16 bytes; and how much of it a block can have beside what its kernel
/// declares.
QKJIT_CONSTEXPR int staged_token_bytes(const Spec& spec, int heads) {
  return heads * spec.head_dim * size_of(spec.dtype) + ceil_div(heads, 4) * 16;
}
inline constexpr int kMostStagedTokenBytes = 32 * 1024;

/// Lane l of a row's lane group has chunk l + slot * lanes in each slot: lanes access neighbouring
/// memory, and the butterfly over chunks is first one over slots (in registers), then one over
/// lanes (by shuffles). Where neox partners are nearer than that, runs of fewer lanes do so, one
/// run's chunks after the other's: kRun.
template <Spec kSpec, Variant kVariant>
struct Tile {
  /// Enumerators, because NVRTC writes each constant member into the cubin, with the name of its
  /// Tile: a third of a kernel's bytes.
  enum : int {
    kChunks = kSpec.head_dim / kChunk,
    kLanes = kVariant.lanes,
    kSlots = ceil_div(kChunks, kLanes),
    kRows = kVariant.rows,
    kGroupsPerWarp = 32 / kLanes,
    kRowsPerSlice = kGroupsPerWarp * kRows,
    kWarps = kVariant.threads / 32,
    kRowBytes = kSpec.head_dim * size_of(kSpec.dtype),
    kRun = run_of(kSpec, kVariant),
    kNeoxSlots = neox_partner_distance(kSpec) / kRun,  // between partners
    /// The slot of the first chunk that has a partner in its lane: a shorter run has it in its
    /// first.
    kNeoxBegin = kRun == kLanes ? rotated_begin(kSpec) / kChunk / kLanes : 0,
  };
  QKJIT_CONSTEXPR static Pairing pairing() { return pairing_of(kSpec, kVariant); }
  QKJIT_CONSTEXPR static float inv_head_dim() { return 1.0f / static_cast<float>(kSpec.head_dim); }

  static_assert(
      kSpec.head_dim % kChunk == 0 && 8 <= kSpec.head_dim && kSpec.head_dim <= 512,
      "head_dim must be a multiple of 8 from 8 to 512: use the generic kernel for others");
  static_assert(kSpec.rope_dim % 2 == 0 && 0 <= kSpec.rope_dim && kSpec.rope_dim <= kSpec.head_dim,
                "rope_dim must be even and at most head_dim: rotate fewer elements");
  static_assert(rotated_begin(kSpec) % kChunk == 0,
                "the rotated part must begin at a multiple of 8: use the generic kernel");
  static_assert(
      is_lane_count(kSpec, kLanes),
      "lanes must be a power of two that the row's chunks fill, or the chunks, or half of them");
  static_assert(kVariant.staging == Staging::registers || kVariant.span == Span::slice ||
                    runs_by_token(kSpec),
                "a warp's part of shared memory takes one slice: stage in registers");
  static_assert(kRows > 0, "a lane group needs at least one row in flight");
  static_assert(kVariant.threads > 0 && kVariant.threads % 32 == 0 && kVariant.threads <= 1024,
                "threads must be whole warps of one block: take a multiple of 32 up to 1024");
};

}  // namespace qkjit
