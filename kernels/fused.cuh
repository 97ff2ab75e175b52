// The fused kernel: the norm of every head of q and k, and the rotary embedding, in one pass over
// memory. A group of lanes owns a row (one head of one token), reads it whole before it stores any
// of it, and reads and stores it once, so in place is as good as out of place.
#pragma once

#include "butterfly.cuh"
#include "norm.cuh"
#include "output_rows.cuh"
#include "rope.cuh"
#include "rows.cuh"
#include "sequence.cuh"
#include "shared_phases.cuh"
#include "staging.cuh"

namespace qkjit {

/// Every lane gets its row's sum of the sums of its chunks. Chunks are farthest apart in different
/// runs of lanes, whose steps come first; then a run is a group as any.
template <class T>
QKJIT_DEVICE float sum_row(float (&chunks)[1][T::kSlots], const Lane<T>& lane) {
  float sums[1];
#pragma unroll
  for (int d = T::kLanes / 2; d >= T::kRun; d /= 2) {
#pragma unroll
    for (float& sum : chunks[0]) sum = add_rn(sum, __shfl_xor_sync(kWholeWarp, sum, d));
  }
  constexpr int kPower = next_power_of_two(T::kRun);
  if constexpr (T::kRun == kPower) {
    add_even_chunks(T::kRun, chunks, sums);
  } else {
    const auto in_run = static_cast<int>(lane.in_group % T::kRun);
    const int first = static_cast<int>(lane.in_warp) - in_run;
    add_odd_lanes(GroupLane{T::kRun, kPower / 2, first, in_run}, chunks, sums);
  }
  return sums[0];
}

/// Whether the chunk in a slot, which begins with element `first` of the rotated part, has its neox
/// partners in the same lane, kNeoxSlots on. Runs of lanes that are not rotated have none.
template <Spec kSpec, class T>
QKJIT_DEVICE bool has_neox_pairs(int slot, int first) {
  constexpr auto kHalf = static_cast<unsigned>(kSpec.rope_dim / 2);
  return T::kNeoxBegin <= slot && slot < T::kNeoxBegin + T::kNeoxSlots &&
         static_cast<unsigned>(first) < kHalf;
}

/// What a token's angles are loaded from, or computed from.
template <Spec kSpec>
QKJIT_DEVICE auto find_source(const Params& p, const FrequenciesOf<kSpec>* frequencies,
                              unsigned token) {
  using Form = FixedForm<TableForm::of(kSpec)>;
  if constexpr (kSpec.angles == Angles::computed) {
    return find_phases(p, *frequencies, kSpec.positions, Form{}, token);
  } else if constexpr (kSpec.rope_dim > 0) {
    return find_angles(p, kSpec.positions, kSpec.bounds, Form{}, true, token);
  } else {
    return TableRows<Form>{};
  }
}

/// What every row of a slice shares: the weights and biases of its norm, and the token's angles.
/// Where heads have tables of their own, the angles are those of the row that is next.
template <Spec kSpec, class T>
struct SliceConstants {
  float weight[T::kSlots][kChunk] = {}, bias[T::kSlots][kChunk] = {};
  ChunkAngles angles[T::kSlots] = {};
  /// Where each head has a table: the first one's rows, and bytes from head to head.
  TableRows<FixedForm<TableForm::of(kSpec)>> tables = {};
  long long table_stride = 0;

  QKJIT_DEVICE void load(const Params& p, const FrequenciesOf<kSpec>* frequencies, const Rows& rows,
                         Norm kind, unsigned token, const Lane<T>& lane) {
    constexpr int kBegin = rotated_begin(kSpec);
    const auto table = find_source<kSpec>(p, frequencies, token);
    if constexpr (shares_angles(kSpec)) share_angles(table, lane);
    if constexpr (has_head_tables(kSpec)) tables = table, table_stride = p.table_head_stride;
#pragma unroll
    for (int slot = 0; slot < T::kSlots; ++slot) {
      const int first = lane.first_element(slot);
      if (first >= kSpec.head_dim) continue;
      const auto load = [&](const void* from, float(&to)[kChunk]) {
        using W = Chunk<dtype_of_weights(kSpec)>;
        W::load(static_cast<const typename W::Storage*>(from) + first).unpack(to);
      };
      if (has_weight(kSpec, kind)) load(rows.weight, weight[slot]);
      if (has_bias(kSpec, kind)) load(rows.bias, bias[slot]);
      make_effective(kSpec.weight, weight[slot]);
      if constexpr (shares_angles(kSpec) || has_head_tables(kSpec)) continue;
      load_slot(table, slot, first - kBegin);
    }
  }

  /// The angles of a head with a table of its own.
  QKJIT_DEVICE void load_head(unsigned head, const Lane<T>& lane) {
    const auto table = table_of_head(tables, table_stride, head);
#pragma unroll
    for (int slot = 0; slot < T::kSlots; ++slot) {
      const int first = lane.first_element(slot);
      if (first < kSpec.head_dim) load_slot(table, slot, first - rotated_begin(kSpec));
    }
  }

  /// Those of the chunk in a slot, which begins with element `first` of the rotated part.
  template <class Source>
  QKJIT_DEVICE void load_slot(const Source& table, int slot, int first) {
    if constexpr (kSpec.layout == Layout::interleaved) {
      load_interleaved(table, first, angles[slot]);
    } else if constexpr (T::kPairing != Pairing::in_lane) {
      load_exchanged(table, first, angles[slot]);
    } else if (has_neox_pairs<kSpec, T>(slot, first)) {
      load_neox(table, first, angles[slot]);
    }
  }

  template <class Form>
  QKJIT_DEVICE void share_angles(const TokenPhases<Form>& phases, const Lane<T>& lane) {
    using Shared = SharedAngles<share_of_angles(kSpec), Form>;
    const Shared shared = Shared::of(phases, lane.in_warp);
#pragma unroll
    for (int slot = 0; slot < T::kSlots; ++slot) {
      const int first = lane.first_element(slot) - rotated_begin(kSpec);
      if constexpr (kSpec.layout == Layout::interleaved) {
        shared.load_interleaved(first, angles[slot]);
      } else if constexpr (T::kPairing != Pairing::in_lane) {
        shared.load_exchanged(first, angles[slot]);
      } else if (T::kNeoxBegin <= slot && slot < T::kNeoxBegin + T::kNeoxSlots) {
        shared.load_neox(first, angles[slot]);
      }
    }
  }
};

template <Spec kSpec, class T>
static QKJIT_DEVICE void rotate_row(LaneRow<T>& y, const SliceConstants<kSpec, T>& constants,
                                    const Lane<T>& lane) {
  constexpr Rounding kRounding = kSpec.rounding;
  constexpr int kBegin = rotated_begin(kSpec);
  // Beyond the head's end there is nothing to spare from the rotation.
  constexpr bool kEndsInside = kBegin + kSpec.rope_dim < kSpec.head_dim;
  constexpr int kRotated = kEndsInside ? kSpec.rope_dim : 32 * 32 * kChunk;
  const ChunkAngles* angles = constants.angles;
  if constexpr (kSpec.layout == Layout::interleaved) {
#pragma unroll
    for (int slot = 0; slot < T::kSlots; ++slot) {
      rotate_interleaved<kSpec.dtype>(kRounding, kRotated, lane.first_element(slot) - kBegin,
                                      angles[slot], y[slot]);
    }
  } else if constexpr (T::kPairing == Pairing::in_lane) {
#pragma unroll
    for (int slot = T::kNeoxBegin; slot < T::kNeoxBegin + T::kNeoxSlots; ++slot) {
      if (!has_neox_pairs<kSpec, T>(slot, lane.first_element(slot) - kBegin)) continue;
      rotate_neox<kSpec.dtype>(kRounding, angles[slot], y[slot], y[slot + T::kNeoxSlots]);
    }
  } else if constexpr (T::kPairing == Pairing::shuffle) {
    const int chunk = static_cast<int>(lane.in_group) - kBegin / kChunk;
    const auto partners =
        PartnerLanes::of(kSpec.rope_dim / 2, chunk, static_cast<int>(lane.in_warp));
    rotate_by_shuffle<kSpec.dtype, kSpec.rope_dim / 2 % kChunk>(kRounding, kRotated, chunk * kChunk,
                                                                angles[0], partners, y[0]);
  } else {
    alignas(16) __shared__ float shown[T::kWarps * T::kGroupsPerWarp][T::kChunks * kChunk];
    float* row = shown[threadIdx.x / 32 * T::kGroupsPerWarp + lane.group];
    __syncwarp();  // the row before may still be read
#pragma unroll
    for (int slot = 0; slot < T::kSlots; ++slot) {
      const int first = lane.first_element(slot) - kBegin;
      const bool rotates = 0 <= first && first < kSpec.rope_dim;
      if (rotates && !lane.is_left_over) show_chunk(y[slot], first, row);
    }
    __syncwarp();
#pragma unroll
    for (int slot = 0; slot < T::kSlots; ++slot) {
      rotate_exchanged<kSpec.dtype>(kRounding, kSpec.rope_dim, lane.first_element(slot) - kBegin,
                                    angles[slot], row, y[slot]);
    }
  }
}

/// The norm of a row whose reciprocal rms is known.
template <Spec kSpec, Norm kNorm, class T>
static QKJIT_DEVICE void scale_row(LaneRow<T>& y, const SliceConstants<kSpec, T>& constants,
                                   float r) {
#pragma unroll
  for (int slot = 0; slot < T::kSlots; ++slot) {
    const float(&w)[kChunk] = constants.weight[slot];
    if constexpr (has_bias(kSpec, kNorm)) {
      normalize_chunk<kSpec.dtype>(kSpec.rounding, y[slot], r, w, constants.bias[slot]);
    } else {
      normalize_chunk<kSpec.dtype>(kSpec.rounding, y[slot], r, w);
    }
  }
}

template <Spec kSpec, Norm kNorm, class T>
static QKJIT_DEVICE void normalize_row(LaneRow<T>& y, const SliceConstants<kSpec, T>& constants,
                                       float eps, const Lane<T>& lane) {
  if constexpr (kNorm == Norm::none) return;
  const auto elements = [&](int slot) {
    return lane.first_element(slot) < kSpec.head_dim ? kChunk : 0;
  };
  if constexpr (kSpec.norm_order == NormOrder::after) {
    hand_over_row<kSpec.dtype>(kSpec.rounding, elements, y);
  }
  float chunks[1][T::kSlots];
  if constexpr (kNorm == Norm::layer) {
    sum_chunks(y, chunks[0]);
    centre_row(sum_row<T>(chunks, lane), T::kInvHeadDim, elements, y);
  }
  square_chunks(y, chunks[0]);
  const float r = reciprocal_rms(sum_row<T>(chunks, lane), T::kInvHeadDim, eps);
  scale_row<kSpec, kNorm, T>(y, constants, r);
}

/// Normalises, rotates and stores the rows of a slice, which begins with `head` and whose loads
/// have begun: where they are staged for, or to other outputs.
template <Spec kSpec, Norm kNorm, class Staged, class Destination>
static QKJIT_DEVICE void run_rows(const Staged& staged, const Destination& outputs, const Params& p,
                                  const FrequenciesOf<kSpec>* frequencies, const Rows& rows,
                                  unsigned token, unsigned head,
                                  const Lane<typename Staged::T>& lane) {
  using T = typename Staged::T;
  SliceConstants<kSpec, T> constants;
  constants.load(p, frequencies, rows, kNorm, token, lane);
  staged.wait();
#pragma unroll
  for (int i = 0; i < T::kRows; ++i) {
    if constexpr (has_head_tables(kSpec)) {
      const unsigned own = head + lane.row(i);
      if (own < rows.heads) constants.load_head(own, lane);
    }
    LaneRow<T> y = {};
#pragma unroll
    for (int slot = 0; slot < T::kSlots; ++slot) {
      if (lane.first_element(slot) < kSpec.head_dim) staged.get(i, slot).unpack(y[slot]);
    }
    constexpr bool kNormFirst = kSpec.norm_order == NormOrder::before;
    if constexpr (kNormFirst) normalize_row<kSpec, kNorm, T>(y, constants, p.eps, lane);
    if constexpr (kSpec.rope_dim > 0) rotate_row<kSpec, T>(y, constants, lane);
    if constexpr (!kNormFirst) normalize_row<kSpec, kNorm, T>(y, constants, p.eps, lane);
    if constexpr (has_other_outputs(kSpec)) {
      outputs.put(i, y);
    } else {
#pragma unroll
      for (int slot = 0; slot < T::kSlots; ++slot) {
        if (lane.first_element(slot) >= kSpec.head_dim) continue;
        staged.put(i, slot, Chunk<kSpec.dtype>::pack(y[slot]));
      }
    }
  }
  staged.finish();
}

/// run_rows() with the norm of the tensor that the slice is of, which its whole warp shares.
template <Spec kSpec, class Staged, class Destination>
static QKJIT_DEVICE void run_rows_of(bool is_q, const Staged& staged, const Destination& outputs,
                                     const Params& p, const FrequenciesOf<kSpec>* frequencies,
                                     const Rows& rows, unsigned token, unsigned head,
                                     const Lane<typename Staged::T>& lane) {
  if (is_q || kSpec.q_norm == kSpec.k_norm) {  // the latter is a constant
    run_rows<kSpec, kSpec.q_norm>(staged, outputs, p, frequencies, rows, token, head, lane);
  } else {
    run_rows<kSpec, kSpec.k_norm>(staged, outputs, p, frequencies, rows, token, head, lane);
  }
}

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
    return LargestOfSlice<kSpec, T>(scales.of(tensor), rows, lane);
  } else {
    return Destination(f, tensor, sequence, token, head, rows, lane, scales);
  }
}

/// Copies a slice of V bit by bit, or to FP8, through registers however q and k are staged.
template <Spec kSpec, Variant kVariant, class SomeParams, class Handed>
static QKJIT_DEVICE void copy_slice(const SomeParams& f, unsigned token, unsigned slice,
                                    Handed& scales) {
  constexpr Spec kCopied{.head_dim = kSpec.head_dim, .dtype = kSpec.dtype};
  constexpr Variant kPlain{.lanes = kVariant.lanes,
                           .rows = kVariant.rows,
                           .threads = kVariant.threads,
                           .load = kVariant.load,
                           .store = kVariant.store};
  using T = Tile<kCopied, kPlain>;
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
  const RowsInRegisters<kCopied, kPlain> staged(view, lane);
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

/// A whole token whose heads share scales. What is read again comes from a near cache.
template <Spec kSpec, Variant kVariant, class SomeParams>
static QKJIT_DEVICE void run_scaled_token(const SomeParams& f,
                                          const FrequenciesOf<kSpec>* frequencies, unsigned token) {
  static_assert(kVariant.span == Span::token && kVariant.staging == Staging::registers,
                "a block finds a token's scales: take span=token and staging=registers");
  __shared__ float found[3 * Tile<kSpec, kVariant>::kWarps];
  TokenLargest largest;
  run_slices_of_token<kSpec, kVariant>(f, frequencies, token, largest);
  const auto scales = TokenScales::of_block(largest, found);
  run_slices_of_token<kSpec, kVariant>(f, frequencies, token, scales);
}

/// The work of a block. Takes FusedParams, or for Batch::strided or Values::copy BatchedParams, or
/// for other outputs OutputParams.
/// `frequencies` are those of computed angles, null with a table.
template <Spec kSpec, Variant kVariant, class SomeParams>
static QKJIT_DEVICE void fused(const SomeParams& f, unsigned block,
                               const FrequenciesOf<kSpec>* frequencies = nullptr) {
  OwnScales own;
  if constexpr (scales_tokens(kSpec)) {
    run_scaled_token<kSpec, kVariant>(f, frequencies, block);
  } else if constexpr (kVariant.span == Span::slice) {
    const unsigned index = block * Tile<kSpec, kVariant>::kWarps + threadIdx.x / 32;
    if (index >= f.slices.count) return;
    const unsigned token = index / f.slices.by_token;
    run_slice<kSpec, kVariant>(f, frequencies, token, index - token * f.slices.per_token, own);
  } else {
    run_slices_of_token<kSpec, kVariant>(f, frequencies, block, own);
  }
  // Not earlier: grids that only wait take the place, and the memory system's time, of this one.
  if constexpr (kVariant.pdl) allow_next_grid();
}

}  // namespace qkjit
