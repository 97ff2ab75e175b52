// A slice of heads with vectors of their own: the steps of fused_by_token.cuh on it.
#pragma once

#include "fused_slice.cuh"

namespace qkjit {

/// The chunks of a slice in the registers of a warp.
template <Spec kSpec, Variant kVariant>
class HeldHeads {
 public:
  using T = Tile<kSpec, kVariant>;
  using View = SliceView<typename Format<kSpec.dtype>::Storage>;

  /// Begins to load them.
  QKJIT_DEVICE void load(const View& view, unsigned, const Lane<T>& lane) {
    load_slice<kSpec, kVariant>(view, lane, held_);
  }
  QKJIT_DEVICE Chunk<kSpec.dtype> get(const Lane<T>&, int i, int slot) const {
    return held_[i][slot];
  }
  QKJIT_DEVICE void put(const View& view, const Lane<T>& lane, int i, int slot,
                        const Chunk<kSpec.dtype>& chunk) {
    store_row_chunk<kSpec, kVariant>(view, lane, i, slot, chunk);
  }

 private:
  Chunk<kSpec.dtype> held_[T::kRows][T::kSlots] = {};
};

/// The same in shared memory, where all heads of the token lie one after another.
template <Spec kSpec, Variant kVariant>
class StagedHeads {
 public:
  using T = Tile<kSpec, kVariant>;
  using Storage = typename Format<kSpec.dtype>::Storage;

  explicit QKJIT_DEVICE StagedHeads(Storage* heads) : heads_(heads) {}

  QKJIT_DEVICE void load(const SliceView<Storage>& view, unsigned first, const Lane<T>&) {
    slice_ = heads_ + first * kSpec.head_dim;
    rows_ = view.rows;
  }
  QKJIT_DEVICE Chunk<kSpec.dtype> get(const Lane<T>& lane, int i, int slot) const {
    if (!lane.has_row(i, rows_)) return {};
    return Chunk<kSpec.dtype>::load(cell(lane, i, slot));
  }
  QKJIT_DEVICE void put(const SliceView<Storage>& view, const Lane<T>& lane, int i, int slot,
                        const Chunk<kSpec.dtype>& chunk) {
    if constexpr (kVariant.staging == Staging::bulk) {
      if (lane.has_row(i, rows_)) chunk.store(cell(lane, i, slot));
    } else {
      store_row_chunk<kSpec, kVariant>(view, lane, i, slot, chunk);
    }
  }

 private:
  QKJIT_DEVICE Storage* cell(const Lane<T>& lane, int i, int slot) const {
    return slice_ + lane.row(i) * kSpec.head_dim + lane.first_element(slot);
  }

  Storage* heads_;
  Storage* slice_ = nullptr;
  unsigned rows_ = 0;
};

/// What the heads are of.
struct Origin {
  Tensor tensor;
  unsigned sequence;
};

/// A slice of a token's heads of q or of k. `Heads` is where its chunks are.
template <Spec kSpec, Variant kVariant, Norm kNorm, class Heads>
class HeadSlice {
 public:
  using T = Tile<kSpec, kVariant>;
  using Storage = typename Format<kSpec.dtype>::Storage;
  using Constants = SliceConstants<kSpec, T>;

  QKJIT_DEVICE HeadSlice(const Heads& heads, const Rows& rows, unsigned token, const Lane<T>& lane)
      : heads_(heads), rows_(rows), token_(token), lane_(lane) {}

  /// Takes the slice that begins with `head`; beyond the last one it is empty.
  QKJIT_DEVICE void load(unsigned head) {
    first_ = head < rows_.heads ? head : rows_.heads;
    view_ = view_slice<Storage>(rows_, token_, first_, T::kRowsPerSlice);
    heads_.load(view_, first_, lane_);
  }

  /// Shows the sums of squares of the slice's heads, one after another, in `sums`.
  QKJIT_DEVICE void sum_squares(Constants& constants, float* sums) const {
#pragma unroll
    for (int i = 0; i < T::kRows; ++i) {
      if constexpr (kRotatesFirst) load_angles(i, constants);
      LaneRow<T> y = {};
      take(i, constants, y);
      const float sum = sum_of(y);
      if (lane_.in_group == 0 && lane_.has_row(i, view_.rows)) sums[lane_.row(i)] = sum;
    }
  }

  /// Begins to load the vectors of the first row of the slice that begins with `head`.
  QKJIT_DEVICE void ask_for_vectors(unsigned head) { ask_for_vectors_of(head, 0); }

  /// Finishes and stores the slice, whose first row's vectors were asked for, and asks for those of
  /// the slice that begins with `next`. `r` is the reciprocal rms, where heads share it.
  template <class SomeParams>
  QKJIT_DEVICE void finish(const SomeParams& f, const Origin& origin, Constants& constants, float r,
                           unsigned next) {
    const auto outputs = output_slice<kSpec, kVariant, T>(f, origin.tensor, origin.sequence, token_,
                                                          first_, view_.rows, lane_);
#pragma unroll
    for (int i = 0; i < T::kRows; ++i) {
      load_angles(i, constants);
      LaneRow<T> y = {};
      take(i, constants, y);
      if constexpr (kNorm != Norm::none) {
        if constexpr (!norms_across_heads(kSpec)) {
          r = reciprocal_rms(sum_of(y), T::inv_head_dim(), f.common.eps);
        }
        unpack_vectors(constants);
        ask_for_vectors_of(i + 1 < T::kRows ? first_ : next, (i + 1) % T::kRows);
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
          heads_.put(view_, lane_, i, slot, chunk);
        }
      }
    }
  }

 private:
  enum : bool { kRotatesFirst = kNorm != Norm::none && kSpec.norm_order == NormOrder::after };

  using Vector = Chunk<dtype_of_weights(kSpec)>[T::kSlots];

  /// Of a head's own part of a weight or a bias, a chunk for each of the row's. One row ahead: they
  /// come from a near cache, and more that waited would take the place of rows in flight.
  QKJIT_DEVICE void ask_for_vectors_of(unsigned first_head, int i) {
    const unsigned head = first_head + lane_.row(i);
    if (head >= rows_.heads || lane_.is_left_over) return;
    const auto load = [&](const void* vectors, Vector& to) {
      using W = Chunk<dtype_of_weights(kSpec)>;
      const auto* from = static_cast<const typename W::Storage*>(vectors) +
                         head * static_cast<long long>(kSpec.head_dim);
#pragma unroll
      for (int slot = 0; slot < T::kSlots; ++slot) {
        const int first = lane_.first_element(slot);
        if (first < kSpec.head_dim) to[slot] = W::load(from + first);
      }
    };
    if constexpr (has_weight(kSpec, kNorm)) load(rows_.weight, weight_);
    if constexpr (has_bias(kSpec, kNorm)) load(rows_.bias, bias_);
  }

  /// Of a head with a table of its own; else heads share what they have.
  QKJIT_DEVICE void load_angles(int i, Constants& constants) const {
    if constexpr (has_head_tables(kSpec)) {
      if (lane_.row(i) < view_.rows) constants.load_head(first_ + lane_.row(i), lane_);
    }
  }

  QKJIT_DEVICE void unpack_vectors(Constants& constants) const {
#pragma unroll
    for (int slot = 0; slot < T::kSlots; ++slot) {
      weight_[slot].unpack(constants.weight[slot]);
      bias_[slot].unpack(constants.bias[slot]);
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
    for (int slot = 0; slot < T::kSlots; ++slot) {
      if (elements(slot) > 0) heads_.get(lane_, i, slot).unpack(y[slot]);
    }
    if constexpr (kRotatesFirst) {
      rotate_row<kSpec, T>(y, constants, lane_);
      hand_over_row<kSpec.dtype>(kSpec.rounding, elements, y);
    }
    if constexpr (kNorm == Norm::layer) {
      float chunks[1][T::kSlots];
      sum_chunks(y, chunks[0]);
      centre_row(sum_row<T>(chunks, lane_), T::inv_head_dim(), elements, y);
    }
  }

  Heads heads_;
  const Rows& rows_;
  unsigned token_;
  unsigned first_ = 0;  ///< head
  const Lane<T>& lane_;
  SliceView<Storage> view_;
  Vector weight_ = {}, bias_ = {};
};

}  // namespace qkjit
