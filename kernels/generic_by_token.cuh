// The generic kernel where heads have vectors of their own: for a norm across heads, and for
// weights of each head. As the fused one, with shapes at run time. A block owns a token's q, or its
// k; a lane group takes a head at a time, of which each lane has up to four chunks.
#pragma once

#include "generic.cuh"
#include "head_sums.cuh"

namespace qkjit {

/// The heads of a token's q or k, of which each lane group of a block has one at a time.
template <DType kDType, Forms kForms>
class AnyHeads {
 public:
  static constexpr int kSlots = kGenericMaxSlots;
  using Storage = typename Format<kDType>::Storage;

  QKJIT_DEVICE AnyHeads(const GenericParams& g, const AllFrequencies* frequencies, float* shown)
      : g_(g),
        is_q_(blockIdx.x % 2 == 0),
        token_(blockIdx.x / 2),
        lane_(AnyLane::of(g.groups)),
        rows_(is_q_ ? g.common.q : g.common.k),
        norm_(is_q_ ? g.spec.q_norm : g.spec.k_norm),
        shown_(shown) {
    if (g.spec.rope_dim == 0) return;
    plain_ = AnySource<kForms>::find(g, frequencies, any_token());
    if (!rotates_in_shared(g)) {
      load_any_angles<kSlots, kForms>(g, lane_, plain_, any_token(), angles_);
    }
  }

  QKJIT_DEVICE unsigned count() const { return rows_.heads; }
  /// Whether they share a reciprocal rms.
  QKJIT_DEVICE bool share_rms() const { return has_norm() && norms_across_heads(g_.spec); }
  /// The head of a turn that the lane's group has.
  QKJIT_DEVICE unsigned own() const { return threadIdx.x / 32 * g_.groups.per_warp + lane_.group; }

  /// Takes a head; beyond the last one, none.
  QKJIT_DEVICE void load(unsigned head) {
    const bool has_head = head < rows_.heads && !lane_.is_left_over;
    const RowView row{rows_, token_, has_head ? head : 0};
    head_ = {token_,
             is_q_,
             false,
             rows_.weight,
             rows_.bias,
             static_cast<const Storage*>(rows_.in) + row.in_offset(),
             static_cast<Storage*>(rows_.out) + row.out_offset(),
             0,
             0,
             {has_head ? g_.spec.head_dim : 0}};
    first_of_vectors_ = static_cast<long long>(row.head) * g_.spec.head_dim;
    load_any_rows<kDType, 1, kSlots>(g_.whole_rows, lane_, head_.in, 0, head_.elements, held_);
  }

  /// Shows the head's sum of squares.
  QKJIT_DEVICE void sum_squares(float* sums) {
    take();
    const float sum = sum_of_squares_taken();
    if (lane_.in.in_group == 0 && !lane_.is_left_over) sums[own()] = sum;
  }

  /// Finishes and stores the head. `r` is the reciprocal rms, where heads share it.
  QKJIT_DEVICE void finish(float r) {
    take();
    if (has_norm()) {
      if (!share_rms()) r = reciprocal_rms(sum_of_squares_taken(), g_.inv_head_dim, g_.common.eps);
      scale(r);
    }
    if (!rotates_first()) rotate();
    store_any_rows<kDType, 1, kSlots>(g_.whole_rows, lane_, head_, y_);
  }

 private:
  QKJIT_DEVICE bool has_norm() const { return norm_ != Norm::none; }
  QKJIT_DEVICE bool rotates_first() const {
    return has_norm() && g_.spec.norm_order == NormOrder::after;
  }

  QKJIT_DEVICE void rotate() {
    if (g_.spec.rope_dim == 0) return;
    rotate_any_rows<kDType, kSlots, kForms>(g_, plain_, any_token(), lane_, angles_, shown_, y_);
  }

  QKJIT_DEVICE float sum_of_squares_taken() {
    float chunks[1][kSlots], sum[1];
    square_chunks(y_[0], chunks[0]);
    add_chunks(lane_.in, chunks, sum);
    return sum[0];
  }

  /// The head whose squares the norm sums, or where there is no norm as the rotation takes it.
  QKJIT_DEVICE void take() {
    const auto elements = [&](int slot) { return head_.elements[0] - lane_.first_element(slot); };
#pragma unroll
    for (int slot = 0; slot < kSlots; ++slot) held_[0][slot].unpack(y_[0][slot]);
    if (rotates_first()) {
      rotate();
      hand_over_row<kDType>(g_.spec.rounding, elements, y_[0]);
    }
    if (norm_ == Norm::layer) {
      float chunks[1][kSlots], sum[1];
      sum_chunks(y_[0], chunks[0]);
      add_chunks(lane_.in, chunks, sum);
      centre_row(sum[0], g_.inv_head_dim, elements, y_[0]);
    }
  }

  QKJIT_DEVICE void scale(float r) {
    const Spec& spec = g_.spec;
#pragma unroll
    for (int slot = 0; slot < kSlots; ++slot) {
      const int first = lane_.first_element(slot);
      if (first >= head_.elements[0]) continue;
      float w[kChunk] = {};
      if (has_weight(spec, norm_)) load_vector(rows_.weight, first, w);
      make_effective(spec.weight, w);
      if (has_bias(spec, norm_)) {
        float b[kChunk];
        load_vector(rows_.bias, first, b);
        normalize_any_chunk<kDType>(spec.rounding, y_[0][slot], r, w, b);
      } else {
        normalize_any_chunk<kDType>(spec.rounding, y_[0][slot], r, w);
      }
    }
  }

  /// The chunk that begins with `first` of the head's own part of a weight or a bias.
  QKJIT_DEVICE void load_vector(const void* vector, int first, float (&x)[kChunk]) const {
    const DType dtype = dtype_of_weights(g_.spec);
    const auto* from = static_cast<const char*>(vector) + first_of_vectors_ * size_of(dtype);
    if (g_.whole_rows && dtype == kDType) {
      Chunk<kDType>::load(reinterpret_cast<const Storage*>(from) + first).unpack(x);
    } else {
      load_any_vector(g_.spec, from, first, x);
    }
  }

  QKJIT_DEVICE AnyToken any_token() const { return {token_, is_q_}; }

  const GenericParams& g_;
  bool is_q_;
  unsigned token_;
  AnyLane lane_;
  const Rows& rows_;
  Norm norm_;
  float* shown_;  ///< shared memory of the warp
  typename AnySource<kForms>::Type plain_ = {};
  AnyAngles<kSlots> angles_ = {};
  AnyRows<Storage, 1> head_;
  long long first_of_vectors_ = 0;
  AnyChunks<kDType, 1, kSlots> held_;
  AnyValues<kSlots> y_;
};

/// With the angles of Forms::all or of Forms::computed.
template <DType kDType, Forms kForms>
static QKJIT_DEVICE void generic_by_token(const GenericParams& g,
                                          const AllFrequencies* frequencies = nullptr) {
  constexpr int kWarps = kGenericThreads / 32;
  alignas(16) __shared__ float shown[kWarps][32 * kGenericMaxSlots * kChunk];
  __shared__ float sums[kGenericThreads];
  AnyHeads<kDType, kForms> heads(g, frequencies, shown[threadIdx.x / 32]);
  const unsigned per_turn = kWarps * g.groups.per_warp;
  const unsigned turns = (heads.count() + per_turn - 1) / per_turn;
  heads.load(heads.own());
  float r = 0;
  if (heads.share_rms()) {
    PartialSums partial;
#pragma unroll 1
    for (unsigned turn = 0; turn < turns; ++turn) {
      const unsigned first = turn * per_turn, left = heads.count() - first;
      if (turn > 0) {
        __syncthreads();  // the sums before may still be read
        heads.load(first + heads.own());
      }
      heads.sum_squares(sums);
      __syncthreads();
      partial.add(sums, first, first + (left < per_turn ? left : per_turn));
    }
    r = reciprocal_rms(partial.total(), (blockIdx.x % 2 == 0 ? g.common.q : g.common.k).inv_width,
                       g.common.eps);
  }
#pragma unroll 1
  for (unsigned i = 0; i < turns; ++i) {
    const unsigned turn = heads.share_rms() ? turns - 1 - i : i;
    if (i > 0) heads.load(turn * per_turn + heads.own());
    heads.finish(r);
  }
}

}  // namespace qkjit
