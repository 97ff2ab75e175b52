// Tokens whose heads share an FP8 scale that is found: nothing of one can be stored before all of
// it was looked at. Rows wait in registers meanwhile.
#pragma once

#include "fused_slice.cuh"

namespace qkjit {

/// The slices of a token, of which each of the block's warps has every so many.
template <Spec kSpec, Variant kVariant, class SomeParams, class Handed>
static QKJIT_DEVICE void run_slices_of_token(const SomeParams& f,
                                             const FrequenciesOf<kSpec>* frequencies,
                                             unsigned token, Handed& scales) {
  constexpr unsigned kWarps = Tile<kSpec, kVariant>::kWarps;
#pragma unroll 1
  for (unsigned slice = threadIdx.x / 32; slice < f.slices.per_token; slice += kWarps) {
    run_slice<kSpec, kVariant>(f, frequencies, token, slice, scales);
  }
}

/// Where a slice is: of which tensor, and where in it.
struct SliceOfToken {
  Tensor tensor;
  unsigned sequence, token, head;
  unsigned rows;  ///< 0 if there is no such token
};

template <Spec kSpec, class T, class SomeParams>
static QKJIT_DEVICE SliceOfToken find_slice(const SomeParams& f, unsigned number, unsigned slice) {
  const bool is_q = slice < f.slices.of_q;
  const bool is_v = kSpec.v == Values::copy && slice >= f.v.first_slice;
  const Rows& rows = is_v ? f.v.rows : is_q ? f.common.q : f.common.k;
  const unsigned before = is_v ? f.v.first_slice : is_q ? 0 : f.slices.of_q;
  TokenOfSequence in{0, number};
  bool exists = true;
  if constexpr (kSpec.batch == Batch::strided) {
    in = find_in_sequence(f.batches, number);
    exists = in.token < (is_v ? f.v.of : is_q ? f.batches.q : f.batches.k).tokens;
  }
  constexpr unsigned kMost = T::kRowsPerSlice;
  const unsigned head = (slice - before) * kMost, left = rows.heads - head;
  const unsigned count = left < kMost ? left : kMost;
  return {is_v   ? Tensor::v
          : is_q ? Tensor::q
                 : Tensor::k,
          in.sequence, in.token, head, exists ? count : 0};
}

/// Stores the rows of a slice in FP8, chunks where lanes of T have them.
template <Spec kSpec, Variant kVariant, class T, class SomeParams, class Kept>
static QKJIT_DEVICE void store_kept(const SomeParams& f, const SliceOfToken& slice, Kept& kept,
                                    const TokenScales& scales) {
  const Lane<T> lane;
  const OutputSlice<kSpec, T, kVariant.store> outputs(f, slice.tensor, slice.sequence, slice.token,
                                                      slice.head, slice.rows, lane, scales);
#pragma unroll
  for (int i = 0; i < T::kRows; ++i) outputs.put(i, kept.rows[i]);
}

/// A whole token whose heads share scales. Where each warp has one slice of it at most, rows wait
/// in registers until these are known; else all is done again, from a near cache.
template <Spec kSpec, Variant kVariant, class SomeParams>
static QKJIT_DEVICE void run_scaled_token(const SomeParams& f,
                                          const FrequenciesOf<kSpec>* frequencies, unsigned token) {
  static_assert(kVariant.span == Span::token && kVariant.staging == Staging::registers,
                "a block finds a token's scales: take span=token and staging=registers");
  using T = Tile<kSpec, kVariant>;
  __shared__ float found[3 * T::kWarps];
  const unsigned own = threadIdx.x / 32;
  if (f.slices.per_token > blockDim.x / 32) {
    TokenLargest largest;
    run_slices_of_token<kSpec, kVariant>(f, frequencies, token, largest);
    const auto scales = TokenScales::of_block(largest, found);
    return run_slices_of_token<kSpec, kVariant>(f, frequencies, token, scales);
  }
  KeptRows<T::kRows, T::kSlots> kept;
  const bool has_slice = own < f.slices.per_token;
  if (has_slice) run_slice<kSpec, kVariant>(f, frequencies, token, own, kept);
  const auto scales = TokenScales::of_block(kept, found);
  if (!has_slice) return;
  const SliceOfToken slice = find_slice<kSpec, T>(f, token, own);
  if (slice.rows == 0) return;
  if (!is_fp8(kSpec, slice.tensor == Tensor::q)) {
    return run_slice<kSpec, kVariant>(f, frequencies, token, own, scales);
  }
  if (kSpec.v == Values::copy && slice.tensor == Tensor::v) {
    store_kept<kSpec, kVariant, TileOfValues<kSpec, kVariant>>(f, slice, kept, scales);
  } else {
    store_kept<kSpec, kVariant, T>(f, slice, kept, scales);
  }
}

}  // namespace qkjit
