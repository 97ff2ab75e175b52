// The fused kernel where heads have vectors of their own: for a norm across heads, and for weights
// of each head. A block owns a token's q, or its k: as many heads as it has room for at a time are
// a turn. Across heads, its warps take the sums of squares of all turns, meet, and then normalise,
// rotate and store turn after turn, beginning with the last, which they still hold: where one turn
// is all, memory is read once. Nothing is stored before everything was summed, so in place is as
// good as out of place.
#pragma once

#include "fused.cuh"
#include "head_sums.cuh"

namespace qkjit {

/// The slice of heads that a warp holds, with their vectors; all of it as it is stored.
template <Spec kSpec, Variant kVariant, Norm kNorm>
class HeldSlice {
 public:
  using T = Tile<kSpec, kVariant>;
  using Storage = typename Format<kSpec.dtype>::Storage;
  using Constants = SliceConstants<kSpec, T>;

  QKJIT_DEVICE HeldSlice(const Rows& rows, unsigned token, const Lane<T>& lane)
      : rows_(rows), token_(token), lane_(lane) {}

  /// Begins to load the slice that begins with `head`; beyond the last one it is empty.
  QKJIT_DEVICE void load(unsigned head) {
    const unsigned first = head < rows_.heads ? head : rows_.heads;
    first_head_ = first;
    view_ = view_slice<Storage>(rows_, token_, first, T::kRowsPerSlice);
    load_slice<kSpec, kVariant>(view_, lane_, held_);
    if constexpr (has_weight(kSpec, kNorm)) load_vectors(rows_.weight, first, weights_);
    if constexpr (has_bias(kSpec, kNorm)) load_vectors(rows_.bias, first, biases_);
  }

  /// Shows the sums of squares of the slice's heads, one after another, in `sums`.
  QKJIT_DEVICE void sum_squares(const Constants& constants, float* sums) const {
#pragma unroll
    for (int i = 0; i < T::kRows; ++i) {
      LaneRow<T> y = {};
      take(i, constants, y);
      const float sum = sum_of(y);
      if (lane_.in_group == 0 && lane_.has_row(i, view_.rows)) sums[lane_.row(i)] = sum;
    }
  }

  /// Finishes and stores the slice. `r` is the reciprocal rms, where heads share it.
  template <class SomeParams>
  QKJIT_DEVICE void finish(const SomeParams& f, Tensor tensor, Constants& constants, float r,
                           float eps) const {
    const auto outputs =
        output_slice<kSpec, kVariant, T>(f, tensor, 0, token_, first_head_, view_.rows, lane_);
#pragma unroll
    for (int i = 0; i < T::kRows; ++i) {
      LaneRow<T> y = {};
      take(i, constants, y);
      if constexpr (kNorm != Norm::none) {
        if constexpr (!norms_across_heads(kSpec)) {
          r = reciprocal_rms(sum_of(y), T::kInvHeadDim, eps);
        }
        unpack_vectors(i, constants);
        scale_row<kSpec, kNorm, T>(y, constants, r);
      }
      if constexpr (!kRotatesFirst && kSpec.rope_dim > 0) rotate_row<kSpec, T>(y, constants, lane_);
      if constexpr (has_other_outputs(kSpec)) {
        outputs.put(i, y);
      } else {
#pragma unroll
        for (int slot = 0; slot < T::kSlots; ++slot) {
          if (lane_.first_element(slot) >= kSpec.head_dim) continue;
          const auto chunk = Chunk<kSpec.dtype>::pack(y[slot]);
          store_row_chunk<kSpec, kVariant>(view_, lane_, i, slot, chunk);
        }
      }
    }
  }

 private:
  static constexpr bool kRotatesFirst = kNorm != Norm::none && kSpec.norm_order == NormOrder::after;

  using Vectors = Chunk<dtype_of_weights(kSpec)>[T::kRows][T::kSlots];

  /// Of each head's own part of a weight or a bias, a chunk for each of the row's.
  QKJIT_DEVICE void load_vectors(const void* vectors, unsigned first_head, Vectors& to) {
    using W = Chunk<dtype_of_weights(kSpec)>;
    const auto* from = static_cast<const typename W::Storage*>(vectors) +
                       static_cast<long long>(first_head) * kSpec.head_dim;
#pragma unroll
    for (int i = 0; i < T::kRows; ++i) {
#pragma unroll
      for (int slot = 0; slot < T::kSlots; ++slot) {
        const int first = lane_.first_element(slot);
        if (!lane_.has_row(i, view_.rows) || first >= kSpec.head_dim) continue;
        to[i][slot] = W::load(from + lane_.row(i) * kSpec.head_dim + first);
      }
    }
  }

  QKJIT_DEVICE void unpack_vectors(int i, Constants& constants) const {
#pragma unroll
    for (int slot = 0; slot < T::kSlots; ++slot) {
      weights_[i][slot].unpack(constants.weight[slot]);
      biases_[i][slot].unpack(constants.bias[slot]);
      make_effective(kSpec.weight, constants.weight[slot]);
    }
  }

  QKJIT_DEVICE float sum_of(const LaneRow<T>& y) const {
    float chunks[1][T::kSlots];
    square_chunks(y, chunks[0]);
    return sum_row<T>(chunks, lane_);
  }

  /// A row whose squares the norm sums, or where there is no norm as the rotation takes it.
  QKJIT_DEVICE void take(int i, const Constants& constants, LaneRow<T>& y) const {
    const auto elements = [&](int slot) {
      return lane_.first_element(slot) < kSpec.head_dim ? kChunk : 0;
    };
#pragma unroll
    for (int slot = 0; slot < T::kSlots; ++slot) held_[i][slot].unpack(y[slot]);
    if constexpr (kRotatesFirst) {
      rotate_row<kSpec, T>(y, constants, lane_);
      hand_over_row<kSpec.dtype>(kSpec.rounding, elements, y);
    }
    if constexpr (kNorm == Norm::layer) {
      float chunks[1][T::kSlots];
      sum_chunks(y, chunks[0]);
      centre_row(sum_row<T>(chunks, lane_), T::kInvHeadDim, elements, y);
    }
  }

  const Rows& rows_;
  unsigned token_;
  const Lane<T>& lane_;
  SliceView<Storage> view_;
  unsigned first_head_ = 0;
  Chunk<kSpec.dtype> held_[T::kRows][T::kSlots] = {};
  Vectors weights_ = {}, biases_ = {};
};

/// All heads that a token has of q or of k.
template <Spec kSpec, Variant kVariant, Norm kNorm, class SomeParams>
static QKJIT_DEVICE void run_heads(const SomeParams& f, const FrequenciesOf<kSpec>* frequencies,
                                   Tensor tensor, unsigned token) {
  const Params& p = f.common;
  const Rows& rows = tensor == Tensor::q ? p.q : p.k;
  using T = Tile<kSpec, kVariant>;
  constexpr bool kSharesRms = kNorm != Norm::none && norms_across_heads(kSpec);
  const unsigned own = threadIdx.x / 32 * T::kRowsPerSlice;      // the warp's first head of a turn
  const unsigned per_turn = blockDim.x / 32 * T::kRowsPerSlice;  // the block may have fewer warps
  if (own >= rows.heads) return;  // no barrier waits for warps that have left
  const unsigned turns = (rows.heads + per_turn - 1) / per_turn;

  const Lane<T> lane;
  HeldSlice<kSpec, kVariant, kNorm> held(rows, token, lane);
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
#pragma unroll 1
  for (unsigned i = 0; i < turns; ++i) {
    const unsigned turn = kSharesRms ? turns - 1 - i : i;
    if (i > 0) held.load(turn * per_turn + own);
    held.finish(f, tensor, constants, r, p.eps);
  }
}

/// Takes FusedParams, or for other outputs OutputParams. `frequencies` are those of computed
/// angles, null with a table.
template <Spec kSpec, Variant kVariant, class SomeParams>
static QKJIT_DEVICE void fused_by_token(const SomeParams& f,
                                        const FrequenciesOf<kSpec>* frequencies = nullptr) {
  static_assert(kVariant.span == Span::token && kVariant.staging == Staging::registers,
                "a block shares a token's heads: take span=token and staging=registers");
  const unsigned token = blockIdx.x / 2;
  const bool is_q = blockIdx.x % 2 == 0;
  const Tensor tensor = is_q ? Tensor::q : Tensor::k;
  if (is_q || kSpec.q_norm == kSpec.k_norm) {  // the latter is a constant
    run_heads<kSpec, kVariant, kSpec.q_norm>(f, frequencies, tensor, token);
  } else {
    run_heads<kSpec, kVariant, kSpec.k_norm>(f, frequencies, tensor, token);
  }
  if constexpr (kVariant.pdl) allow_next_grid();
}

}  // namespace qkjit
