// The fused kernel where heads have vectors of their own: for a norm across heads, and for weights
// of each head. A team of warps owns a token's q, or its k. Across heads, its warps take the sums
// of squares of all heads, meet, and then normalise, rotate and store. Nothing is stored before
// everything was summed, so in place is as good as out of place.
#pragma once

#include "head_slice.cuh"
#include "head_sums.cuh"
#include "team.cuh"

namespace qkjit {

/// All heads that a token has of q or of k, through registers: as many as the block has room for at
/// a time are a turn. After the sums, turns come in the reverse order, beginning with the one that
/// is still held: where one turn is all, memory is read once.
template <Spec kSpec, Variant kVariant, Norm kNorm, class SomeParams>
static QKJIT_DEVICE void run_heads(const SomeParams& f, const FrequenciesOf<kSpec>* frequencies,
                                   Tensor tensor, const PlaceOfToken<kSpec.batch>& place) {
  const Params& p = place.params;
  const Rows& rows = place.rows;
  const unsigned token = place.token;
  using T = Tile<kSpec, kVariant>;
  constexpr bool kSharesRms = kNorm != Norm::none && norms_across_heads(kSpec);
  const unsigned own = threadIdx.x / 32 * T::kRowsPerSlice;      // the warp's first head of a turn
  const unsigned per_turn = blockDim.x / 32 * T::kRowsPerSlice;  // the block may have fewer warps
  if (own >= rows.heads) return;  // no barrier waits for warps that have left
  const unsigned turns = (rows.heads + per_turn - 1) / per_turn;

  const Lane<T> lane;
  using Held = HeldHeads<kSpec, kVariant>;
  HeadSlice<kSpec, kVariant, kNorm, Held> held(Held(), rows, token, lane);
  SliceConstants<kSpec, T> constants;
  if constexpr (kVariant.pdl) wait_for_previous_grid();
  held.load(own);
  // The token's angles; vectors are heads' own.
  constants.load(p, frequencies, rows, Norm::none, token, lane);
  float r = 0;
  if constexpr (kSharesRms) {
    __shared__ float sums[T::kWarps * T::kRowsPerSlice];
    PartialSums partial;
#pragma unroll 1
    for (unsigned turn = 0; turn < turns; ++turn) {
      const unsigned first = turn * per_turn, left = rows.heads - first;
      if (turn > 0) {
        __syncthreads();  // the sums before may still be read
        held.load(first + own);
      }
      held.sum_squares(constants, sums + own);
      __syncthreads();
      partial.add(sums, first, first + (left < per_turn ? left : per_turn));
    }
    r = reciprocal_rms(partial.total(), rows.inv_width, p.eps);
  }
  const auto head_of = [&](unsigned i) {
    return (kSharesRms ? turns - 1 - i : i) * per_turn + own;
  };
  held.ask_for_vectors(head_of(0));
#pragma unroll 1
  for (unsigned i = 0; i < turns; ++i) {
    if (i > 0) held.load(head_of(i));
    held.finish(f, {tensor, place.sequence}, constants, r, head_of(i + 1));
  }
}

/// The same through shared memory, into which each warp copies its part of the heads at once. Few
/// registers, and all of the token is on its way before anything is waited for.
template <Spec kSpec, Variant kVariant, Norm kNorm, class SomeParams>
static QKJIT_DEVICE void run_staged_heads(const Team& team, const SomeParams& f,
                                          const FrequenciesOf<kSpec>* frequencies, Tensor tensor,
                                          const PlaceOfToken<kSpec.batch>& place) {
  const Params& p = place.params;
  const Rows& rows = place.rows;
  const unsigned token = place.token;
  using T = Tile<kSpec, kVariant>;
  using Storage = typename Format<kSpec.dtype>::Storage;
  constexpr bool kSharesRms = kNorm != Norm::none && norms_across_heads(kSpec);
  __shared__ unsigned long long barriers[T::kWarps];
  auto* const staged = static_cast<Storage*>(team.memory(kSpec, f.common));
  auto* const sums = reinterpret_cast<float*>(staged + rows.heads * kSpec.head_dim);
  const unsigned slices = (rows.heads + T::kRowsPerSlice - 1) / T::kRowsPerSlice;
  const unsigned per_warp =  // heads
      (slices + team.warps - 1) / f.slices.by_token * T::kRowsPerSlice;
  const unsigned begin = team.warp * per_warp;
  if (begin >= rows.heads) return;  // no barrier waits for warps that have left
  const unsigned end = begin + per_warp < rows.heads ? begin + per_warp : rows.heads;

  const Lane<T> lane;
  SliceConstants<kSpec, T> constants;
  if constexpr (kVariant.pdl) wait_for_previous_grid();
  const RowView row{rows, token, begin};
  Storage* const own = staged + begin * kSpec.head_dim;
  const unsigned bytes = (end - begin) * T::kRowBytes;
  const BulkLoad load(&barriers[threadIdx.x / 32], own,
                      static_cast<const Storage*>(rows.in) + row.in_offset(), bytes);
  constants.load(p, frequencies, rows, Norm::none, token, lane);
  using Staged = StagedHeads<kSpec, kVariant>;
  HeadSlice<kSpec, kVariant, kNorm, Staged> slice(Staged(staged), rows, token, lane);
  slice.ask_for_vectors(begin);
  load.wait();
  float r = 0;
  if constexpr (kSharesRms) {
#pragma unroll 1
    for (unsigned head = begin; head < end; head += T::kRowsPerSlice) {
      slice.load(head);
      slice.sum_squares(constants, sums + head);
    }
    team.meet();
    PartialSums partial;
    partial.add(sums, 0, rows.heads);
    r = reciprocal_rms(partial.total(), rows.inv_width, p.eps);
  }
#pragma unroll 1
  for (unsigned head = begin; head < end; head += T::kRowsPerSlice) {
    slice.load(head);
    slice.finish(f, {tensor, place.sequence}, constants, r, head + T::kRowsPerSlice);
  }
  if constexpr (kVariant.staging == Staging::bulk) {
    bulk_store(static_cast<Storage*>(rows.out) + row.out_offset(), own, bytes);
  }
}

template <Spec kSpec, Variant kVariant, Norm kNorm, class SomeParams>
static QKJIT_DEVICE void run_heads_of(const Team& team, const SomeParams& f,
                                      const FrequenciesOf<kSpec>* frequencies, Tensor tensor,
                                      const PlaceOfToken<kSpec.batch>& place) {
  if constexpr (kVariant.staging == Staging::registers) {
    run_heads<kSpec, kVariant, kNorm>(f, frequencies, tensor, place);
  } else {
    run_staged_heads<kSpec, kVariant, kNorm>(team, f, frequencies, tensor, place);
  }
}

/// Copies V's heads of a token, in as many slices as they are.
template <Spec kSpec, Variant kVariant, class SomeParams>
static QKJIT_DEVICE void copy_heads(const Team& team, const SomeParams& f, unsigned number) {
  constexpr unsigned kRowsPerSlice = Tile<kSpec, kVariant>::kRowsPerSlice;
  OwnScales scales;
  for (unsigned slice = team.warp; slice * kRowsPerSlice < f.v.rows.heads; slice += team.warps) {
    copy_slice<kSpec, kVariant>(f, number, slice, scales);
  }
}

/// Takes FusedParams, for Batch::strided or Values::copy BatchedParams, for other outputs
/// OutputParams. `frequencies` are those of computed angles, null with a table.
template <Spec kSpec, Variant kVariant, class SomeParams>
static QKJIT_DEVICE void fused_by_token(const SomeParams& f,
                                        const FrequenciesOf<kSpec>* frequencies = nullptr) {
  static_assert(kVariant.span == Span::token, "warps share a token's heads: take span=token");
  const Team team(f.slices);
  if (team.number >= f.slices.count) return;
  const TensorOfTeam own = TensorOfTeam::of(kSpec, team.number);
  if constexpr (kSpec.v == Values::copy) {
    if (own.tensor == Tensor::v) return copy_heads<kSpec, kVariant>(team, f, own.token);
  }
  const bool is_q = own.tensor == Tensor::q;
  const auto place = PlaceOfToken<kSpec.batch>::of(kSpec, f, is_q, own.token);
  if (!place.exists) return;
  if (is_q || kSpec.q_norm == kSpec.k_norm) {  // the latter is a constant
    run_heads_of<kSpec, kVariant, kSpec.q_norm>(team, f, frequencies, own.tensor, place);
  } else {
    run_heads_of<kSpec, kVariant, kSpec.k_norm>(team, f, frequencies, own.tensor, place);
  }
  if constexpr (kVariant.pdl) allow_next_grid();
}

}  // namespace qkjit
