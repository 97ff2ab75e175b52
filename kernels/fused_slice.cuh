// A slice in the fused kernel: where its rows come from and go to, in q, in k and in v.
#pragma once

#include "fused_rows.cuh"

namespace qkjit {

/// Where a slice goes, if not where its rows are staged for.
template <Spec kSpec, Variant kVariant, class T, class SomeParams, class Handed = OwnScales>
static QKJIT_DEVICE auto output_slice(const SomeParams& f, Tensor tensor, unsigned sequence,
                                      unsigned token, unsigned head, unsigned rows,
                                      const Lane<T>& lane, Handed&& scales = {}) {
  using Destination = OutputSlice<kSpec, T, kVariant.store>;
  if constexpr (!has_other_outputs(kSpec)) {
    return NoOutputSlice{};
  } else if constexpr (!scales_tokens(kSpec)) {
    return Destination(f, tensor, sequence, token, head, rows, lane);
  } else if constexpr (finds_largest<Handed>) {
    return look_at_slice<kSpec, T>(scales, tensor, rows, lane);
  } else {
    return Destination(f, tensor, sequence, token, head, rows, lane, scales);
  }
}

/// V is a tensor without norm and rotation, and goes through registers however q and k are staged.
template <Spec kSpec>
constexpr Spec kSpecOfValues{.head_dim = kSpec.head_dim, .dtype = kSpec.dtype};
template <Variant kVariant>
constexpr Variant kVariantOfValues{.lanes = kVariant.lanes,
                                   .rows = kVariant.rows,
                                   .threads = kVariant.threads,
                                   .load = kVariant.load,
                                   .store = kVariant.store};
template <Spec kSpec, Variant kVariant>
using TileOfValues = Tile<kSpecOfValues<kSpec>, kVariantOfValues<kVariant>>;

/// Copies a slice of V bit by bit, or to FP8.
template <Spec kSpec, Variant kVariant, class SomeParams, class Handed>
static QKJIT_DEVICE void copy_slice(const SomeParams& f, unsigned token, unsigned slice,
                                    Handed& scales) {
  using T = TileOfValues<kSpec, kVariant>;
  using Storage = typename Format<kSpec.dtype>::Storage;
  Rows rows = f.v.rows;
  unsigned sequence = 0;
  if constexpr (kSpec.batch == Batch::strided) {
    const TokenOfSequence in = find_in_sequence(f.batches, token);
    sequence = in.sequence;
    if (in.token >= f.v.of.tokens) return;
    rows = rows_of_sequence(rows, f.v.of, size_of(kSpec.dtype), in.sequence);
    token = in.token;
  }
  const Lane<T> lane;
  const unsigned head = slice * T::kRowsPerSlice;
  const SliceView<Storage> view = view_slice<Storage>(rows, token, head, T::kRowsPerSlice);
  if constexpr (kVariant.pdl) wait_for_previous_grid();
  const RowsInRegisters<kSpecOfValues<kSpec>, kVariantOfValues<kVariant>> staged(view, lane);
  const auto outputs = output_slice<kSpec, kVariant, T>(f, Tensor::v, sequence, token, head,
                                                        view.rows, lane, scales);
#pragma unroll
  for (int i = 0; i < T::kRows; ++i) {
    LaneRow<T> y = {};
#pragma unroll
    for (int slot = 0; slot < T::kSlots; ++slot) {
      if (lane.first_element(slot) >= kSpec.head_dim) continue;
      if constexpr (kSpec.k_out == Out::fp8_e4m3) {
        staged.get(i, slot).unpack(y[slot]);
      } else if constexpr (has_other_outputs(kSpec)) {
        outputs.put_chunk(i, slot, staged.get(i, slot));
      } else {
        staged.put(i, slot, staged.get(i, slot));
      }
    }
    if constexpr (kSpec.k_out == Out::fp8_e4m3) outputs.put(i, y);
  }
}

/// `scales` are what slices of a token hand on: OwnScales, TokenLargest or TokenScales.
template <Spec kSpec, Variant kVariant, class SomeParams, class Handed>
static QKJIT_DEVICE void run_slice(const SomeParams& f, const FrequenciesOf<kSpec>* frequencies,
                                   unsigned number, unsigned slice, Handed& scales) {
  using T = Tile<kSpec, kVariant>;
  using Storage = typename Format<kSpec.dtype>::Storage;
  if constexpr (kSpec.v == Values::copy) {
    if (slice >= f.v.first_slice) {
      if constexpr (finds_largest<Handed&> && kSpec.k_out == Out::same) return;
      return copy_slice<kSpec, kVariant>(f, number, slice - f.v.first_slice, scales);
    }
  }
  const Lane<T> lane;
  const bool is_q = slice < f.slices.of_q;
  if (finds_largest<Handed&> && !is_fp8(kSpec, is_q)) return;
  const auto place = PlaceOfToken<kSpec.batch>::of(kSpec, f, is_q, number);
  if (!place.exists) return;
  const Rows& rows = place.rows;
  const unsigned token = place.token;
  const unsigned head = (is_q ? slice : slice - f.slices.of_q) * T::kRowsPerSlice;
  const SliceView<Storage> view = view_slice<Storage>(rows, token, head, T::kRowsPerSlice);
  // As late as can be: what needs no memory is done while the grid before still runs.
  if constexpr (kVariant.pdl) wait_for_previous_grid();
  const auto find_outputs = [&] {
    return output_slice<kSpec, kVariant, T>(f, is_q ? Tensor::q : Tensor::k, place.sequence, token,
                                            head, view.rows, lane, scales);
  };
  if constexpr (kVariant.staging == Staging::registers) {
    const RowsInRegisters<kSpec, kVariant> staged(view, lane);
    run_rows_of<kSpec>(is_q, staged, find_outputs(), place.params, frequencies, rows, token, head,
                       lane);
  } else {
    alignas(16) __shared__ Storage buffers[T::kWarps][T::kRowsPerSlice * kSpec.head_dim];
    __shared__ unsigned long long barriers[T::kWarps];
    const unsigned warp = threadIdx.x / 32;
    const RowsInShared<kSpec, kVariant> staged(view, lane, buffers[warp], &barriers[warp]);
    run_rows_of<kSpec>(is_q, staged, find_outputs(), place.params, frequencies, rows, token, head,
                       lane);
  }
}

}  // namespace qkjit
