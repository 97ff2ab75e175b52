#include "op/geometry.hpp"

#include <algorithm>
#include <bit>
#include <cstdint>

#include "kernels/tile.cuh"
#include "util/float_environment.hpp"

namespace qkjit {
namespace {

static_assert(kMaxHeadDim == kGenericMaxHeadDim);

unsigned ceil_div(unsigned a, unsigned b) { return (a + b - 1) / b; }

int chunks_of(const Spec& spec) { return qkjit::ceil_div(spec.head_dim, kChunk); }

/// Whether two chunks a lane bring all neox pairs together, each with one angle.
bool pairs_by_two(const Spec& spec) {
  return spec.rope_dim == 2 * kChunk * qkjit::ceil_div(chunks_of(spec), 2) &&
         spec.table_width != TableWidth::elements;
}

/// As many lanes as the row has chunks for, so that few stay idle; see LaneGroups.
LaneGroups lane_groups(const Spec& spec) {
  const int slots = generic_slots(spec);
  const int filled = qkjit::ceil_div(chunks_of(spec), slots);
  const auto lanes = static_cast<unsigned>(slots > 2 ? next_power_of_two(filled) : filled);
  return {.lanes = static_cast<int>(lanes),
          .half = static_cast<int>(std::bit_ceil(lanes) / 2),
          .per_warp = 32 / lanes,
          .by_lanes = Divisor::of(lanes)};
}

/// By shuffles if lanes have one chunk each, and the rotated part is whole chunks.
Pairing generic_pairing(const Spec& spec) {
  const int slots = generic_slots(spec);
  if (slots == 2 && pairs_by_two(spec)) return Pairing::in_lane;
  const bool whole_chunks = rotated_begin(spec) % kChunk == 0 && spec.rope_dim % kChunk == 0;
  return slots == 1 && whole_chunks ? Pairing::shuffle : Pairing::exchange;
}

/// For 16-byte accesses to cosines and sines.
bool has_wide_table(const Params& p) {
  return (reinterpret_cast<std::uintptr_t>(p.cosines) | reinterpret_cast<std::uintptr_t>(p.sines) |
          static_cast<std::uintptr_t>(p.table_row_bytes)) %
             16 ==
         0;
}

/// Of a token: behind those of q and of k.
unsigned first_slice_of_v(const Operation& op, unsigned rows_per_slice) {
  return ceil_div(op.params.q.heads, rows_per_slice) + ceil_div(op.params.k.heads, rows_per_slice);
}

ValueRows values_of(const Operation& op, unsigned rows_per_slice) {
  ValueRows v = op.v;
  v.first_slice = first_slice_of_v(op, rows_per_slice);
  return v;
}

Slices slices_of(const Operation& op, unsigned rows_per_slice) {
  const unsigned of_q = ceil_div(op.params.q.heads, rows_per_slice);
  const unsigned per_token =
      first_slice_of_v(op, rows_per_slice) + ceil_div(op.v.rows.heads, rows_per_slice);
  return {static_cast<unsigned>(op.tokens) * per_token, of_q, per_token, Divisor::of(per_token)};
}

unsigned tensors_of_tokens(const Operation& op) {
  return tensors_of(op.spec) * static_cast<unsigned>(op.tokens);
}

unsigned most_heads(const Operation& op) { return std::max(op.params.q.heads, op.params.k.heads); }

unsigned staged_bytes(const Spec& spec, const Variant& v, unsigned heads) {
  if (v.staging == Staging::registers) return 0;
  return static_cast<unsigned>(staged_token_bytes(spec, static_cast<int>(heads)));
}

}  // namespace

/// In a call of many tensors, one that is staged and no more than a warp's share is left to a warp,
/// which then waits for no other (32,760 tokens on an H200: of 12 + 12 heads 91 % of a copy's time
/// instead of 84, of 20 of 112 in q alone 94 % of its rate instead of 80; of 24 of 128 it would be
/// 96 instead of 99). Else a block is sooner done with it (403 tokens of 12 + 12: 83 instead of
/// 75).
TeamSize team_size_of(const Operation& op, const Variant& v) {
  constexpr unsigned kMostBytesOfWarp = 5120, kManyTensors = 8192;
  const unsigned bytes = staged_bytes(op.spec, v, most_heads(op));
  const bool is_small = 0 < bytes && bytes <= kMostBytesOfWarp;
  return is_small && tensors_of_tokens(op) >= kManyTensors ? TeamSize::warp : TeamSize::block;
}

/// A block takes as few slices for a warp as can be, and then as few warps.
FusedLaunch launch_of_teams(const Operation& op, const Variant& v, TeamSize team) {
  const unsigned heads = most_heads(op), bytes = staged_bytes(op.spec, v, heads);
  const unsigned tensors = tensors_of_tokens(op);
  const bool by_warp = team == TeamSize::warp;
  const auto most = static_cast<unsigned>(v.threads / 32);
  const unsigned slices = ceil_div(heads, static_cast<unsigned>(32 / v.lanes * v.rows));
  const unsigned warps = by_warp ? 1 : ceil_div(slices, ceil_div(slices, most));
  const unsigned teams = by_warp ? std::min(most, kMostStagedTokenBytes / bytes) : 1;
  return {{{{op.params, {tensors, 0, warps, Divisor::of(warps)}}, op.batches, op.v}, op.outputs},
          {ceil_div(tensors, teams), 32 * warps * teams, teams * bytes, v.pdl},
          op.frequencies};
}

FusedLaunch fused_launch(const Operation& op, const Variant& v) {
  if (runs_by_token(op.spec)) return launch_of_teams(op, v, team_size_of(op, v));
  const auto rows_per_slice = static_cast<unsigned>(32 / v.lanes * v.rows);
  const Slices slices = slices_of(op, rows_per_slice);
  const auto warps = static_cast<unsigned>(v.threads / 32);
  // Of a token whose heads share scales, a warp keeps one slice, if there are as many warps.
  const unsigned used =
      scales_tokens(op.spec) ? std::min(warps, std::max(1u, slices.per_token)) : warps;
  const unsigned blocks =
      v.span == Span::slice ? ceil_div(slices.count, warps) : static_cast<unsigned>(op.tokens);
  return {{{{op.params, slices}, op.batches, values_of(op, rows_per_slice)}, op.outputs},
          {blocks, 32 * used, 0, v.pdl},
          op.frequencies};
}

int generic_slots(const Spec& spec) {
  const int chunks = chunks_of(spec);
  if (chunks > 2 * 32 || runs_by_token(spec)) return kGenericMaxSlots;
  if (chunks > 32) return 2;
  // Two chunks a lane cost fewer instructions each, but pairs are shuffled between single ones.
  return chunks > 1 && (!rotates_neox(spec) || pairs_by_two(spec)) ? 2 : 1;
}

GenericKind generic_kind(const Spec& spec) {
  return {spec.dtype, generic_slots(spec), forms_of(spec)};
}

Spec generic_spec(const Operation& op) {
  Spec spec = op.spec;
  spec.batch = op.is_folded ? Batch::folded : Batch::strided;
  return spec;
}

GenericLaunch generic_launch(const Operation& op) {
  const FloatEnvironment ieee;  // the host may round otherwise
  const auto rows = static_cast<unsigned>(generic_rows(generic_slots(op.spec)));
  const LaneGroups groups = lane_groups(op.spec);
  const GenericParams params{.common = op.params,
                             .slices = slices_of(op, rows),
                             .spec = generic_spec(op),
                             .inv_head_dim = 1.0f / static_cast<float>(op.spec.head_dim),
                             .groups = groups,
                             .pairing = generic_pairing(op.spec),
                             .whole_rows = op.aligned_rows && op.spec.head_dim % kChunk == 0,
                             .plain_table = has_plain_table(op.spec),
                             .wide_table = has_wide_table(op.params),
                             .batches = op.batches,
                             .v = values_of(op, rows),
                             .outputs = op.outputs};
  const unsigned per_block = groups.per_warp * (kGenericThreads / 32u);
  if (runs_by_token(op.spec))
    return {params, {tensors_of_tokens(op), kGenericThreads}, op.frequencies};
  if (scales_tokens(op.spec)) {
    return {params, {static_cast<unsigned>(op.tokens), kGenericThreads}, op.frequencies};
  }
  return {params, {ceil_div(params.slices.count, per_block), kGenericThreads}, op.frequencies};
}

}  // namespace qkjit
