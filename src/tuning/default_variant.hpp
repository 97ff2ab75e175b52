// Variants for any spec, from its shape alone.
#pragma once

#include <algorithm>
#include <bit>

#include "kernels/tile.cuh"

namespace qkjit {

/// Whether a power of two of lanes leaves many without a chunk.
constexpr bool has_odd_rows(const Spec& spec) {
  const int chunks = spec.head_dim / kChunk;
  return next_power_of_two(chunks) != chunks;
}

/// Two chunks a lane, or one in rows that are no power of two of chunks; with neox, fewer lanes
/// where that keeps pairs in a lane, down to four chunks a lane, and else one chunk a lane, whose
/// partner a shuffle gets.
constexpr int default_lanes(const Spec& spec) {
  const int padded = next_power_of_two(spec.head_dim / kChunk);
  const int one_each = std::min(padded, 32);
  const int two_each = has_odd_rows(spec) ? one_each : std::max(1, padded / 2);
  if (!rotates_neox(spec)) return two_each;
  for (int lanes = two_each; lanes > 0 && lanes * 4 >= padded; lanes /= 2) {
    if (neox_pairs_in_lane(spec, lanes)) return lanes;
  }
  return one_each;
}

/// Where heads have vectors of their own: 128 bytes a lane in flight, four rows in bf16, so that
/// few warps have a token's heads and wait for each other (4,096 tokens of 40 + 40 heads on an
/// H200: 89 % of a copy's time), and a call takes the threads that its heads need.
constexpr Variant by_token_variant(const Spec& spec) {
  const int lanes = default_lanes(spec);
  const int lane_bytes = ceil_div(spec.head_dim / kChunk, lanes) * kChunk * size_of(spec.dtype);
  return {
      .lanes = lanes, .rows = std::max(1, 128 / lane_bytes), .threads = 512, .span = Span::token};
}

/// The same where heads have no gaps: staged in shared memory, both ways unless outputs are of
/// another kind. On an H200, 4,096 tokens, of a copy's time: 40 + 40 heads 93.8 % (without
/// dependent launch 92.7); 48 + 8 heads with half of a head rotated 93.4 (with twice the lanes 87);
/// 96 + 8 heads, LayerNorm 92.9 (with one row 90.5). Rows that are no power of two of chunks have
/// a lane a chunk and none idle: 24 + 24 heads of 112, norm alone, 16,384 tokens 96.5 % (with 16
/// lanes and one row 89.3).
constexpr Variant staged_token_variant(const Spec& spec) {
  const bool has_odd = has_odd_rows(spec) && !rotates_neox(spec);
  const int lanes = has_odd ? std::min(spec.head_dim / kChunk, 32) : default_lanes(spec);
  const bool splits_heads = rotates_neox(spec) && 2 * spec.rope_dim == spec.head_dim && lanes > 1 &&
                            neox_pairs_in_lane(spec, lanes / 2);
  return {.lanes = splits_heads ? lanes / 2 : lanes,
          .rows = has_odd || spec.q_norm == Norm::layer ? 2 : 1,
          .threads = 128,
          .blocks = splits_heads ? 8 : 0,
          .span = Span::token,
          .staging = has_other_outputs(spec) ? Staging::bulk_load : Staging::bulk,
          .pdl = true};
}

/// Where a token's heads share a scale that is found: a block has a token, whose rows wait in
/// registers, four in bf16, if there are few enough. On an H200 69 % of a copy's rate (16,384
/// tokens of 32 + 8 heads): there are no registers for more blocks at a time. Blocks that take one
/// token after another and load the next meanwhile came to 62 %.
constexpr Variant scaled_token_variant(const Spec& spec) {
  const int lanes = default_lanes(spec), slots = ceil_div(spec.head_dim / kChunk, lanes);
  return {.lanes = lanes,
          .rows = std::max(1, 8 / slots),
          .threads = 128,
          .span = Span::token,
          .load = Hint::streaming};
}

/// Staged in registers. Where lanes have two chunks, one row in flight, and registers for half of a
/// multiprocessor's threads: then the compiler asks for all that a row needs at once. Else two
/// rows, and blocks of 128 threads, or fewer where those would have more than 8 KiB in flight: more
/// at once costs the memory system its order, less costs instructions (docs/kernels.md).
constexpr Variant default_variant(const Spec& spec) {
  if (runs_by_token(spec)) return by_token_variant(spec);
  constexpr unsigned kBlockBytes = 8192;
  const int lanes = default_lanes(spec);
  if (scales_tokens(spec)) return scaled_token_variant(spec);
  if (2 * lanes * kChunk == spec.head_dim) {
    // A kernel that copies V too spills where it is to leave room for so many.
    return {.lanes = lanes, .rows = 1, .threads = 128, .blocks = spec.v == Values::copy ? 6 : 8};
  }
  const int row_bytes = spec.head_dim * size_of(spec.dtype);
  const auto warps = kBlockBytes / static_cast<unsigned>(32 / lanes * 2 * row_bytes);
  return {.lanes = lanes,
          .rows = 2,
          .threads = static_cast<int>(32 * std::bit_floor(std::clamp(warps, 1u, 4u)))};
}

/// For rows that are no power of two of chunks, with heads without gaps: three chunks a lane where
/// that fills a power of two of lanes, else two or one, and bulk loads, since such rows lie across
/// cache lines.
constexpr Variant odd_row_variant(const Spec& spec) {
  Variant variant{.staging = Staging::bulk_load, .pdl = true};
  const int chunks = spec.head_dim / kChunk;
  const bool by_three = chunks % 3 == 0 && std::has_single_bit(static_cast<unsigned>(chunks / 3));
  if (by_three && !rotates_neox(spec)) {
    variant.lanes = chunks / 3, variant.rows = 1, variant.threads = 128;
  } else if (chunks % 2 == 0) {
    variant.lanes = chunks / 2, variant.rows = 2, variant.threads = 64;
  } else {
    variant.lanes = std::min(chunks, 32), variant.rows = 4, variant.threads = 64;
  }
  return variant;
}

/// For large calls whose outputs are of another kind: bulk loads, since rows in registers would be
/// the fewer for what stores them, and small blocks where V is only copied (16,384 tokens of 32 + 8
/// heads on an H200; in brackets default_variant): FP8 93 % of a copy's rate (86), FP8 with a scale
/// a head 94 (74), paged 94 (78), paged FP8 93 (78).
constexpr Variant output_variant(const Spec& spec) {
  return {.lanes = default_lanes(spec),
          .rows = 4,
          .threads = has_fp8(spec) && spec.out_scale == OutScale::given ? 128 : 32,
          .staging = Staging::bulk_load,
          .store = Hint::normal,
          .pdl = true};
}

}  // namespace qkjit
