// The generic kernel where heads have vectors of their own: for a norm across heads, and for
// weights of each head. As the fused one, with shapes at run time. A block owns a token's q, its k,
// or its v; a lane group takes a head at a time, of which each lane has up to four chunks.
#pragma once

#include "generic.cuh"
#include "head_sums.cuh"

namespace qkjit {

/// The heads of a token's q, k or v, of which each lane group of a block has one at a time.
template <DType kDType, Forms kForms>
class AnyHeads {
 public:
  static constexpr int kSlots = kGenericMaxSlots;
  using Storage = typename Format<kDType>::Storage;

  QKJIT_DEVICE AnyHeads(const GenericParams& g, const AllFrequencies* frequencies, float* shown)
      : g_(g),
        block_(TensorOfTeam::of(g.spec, blockIdx.x)),
        lane_(AnyLane::of(g.groups)),
        rows_(is_v()   ? g.v.rows
              : is_q() ? g.common.q
                       : g.common.k),
        token_(block_.token),
        norm_(is_q() ? g.spec.q_norm : g.spec.k_norm),
        shown_(shown) {
    if (g.spec.batch == Batch::strided) {
      const Sequences& of = is_v() ? g.v.of : is_q() ? g.batches.q : g.batches.k;
      const TokenOfSequence in = find_in_sequence(g.batches, block_.token);
      token_ = in.token;
      rows_ = rows_of_sequence(rows_, of, size_of(kDType), in.sequence);
      if (in.token >= of.tokens) rows_.heads = 0;
    }
    if (g.spec.rope_dim == 0 || is_v() || rows_.heads == 0) return;
    plain_ = AnySource<kForms>::find(g, frequencies, any_token());
    if (!rotates_in_shared(g)) {
      load_any_angles<kSlots, kForms>(g, lane_, plain_, any_token(), angles_);
    }
  }

  QKJIT_DEVICE bool is_q() const { return block_.tensor == Tensor::q; }
  QKJIT_DEVICE bool is_v() const { return block_.tensor == Tensor::v; }
  QKJIT_DEVICE unsigned count() const { return rows_.heads; }
  QKJIT_DEVICE float inv_width() const { return rows_.inv_width; }
  /// Whether they share a reciprocal rms.
  QKJIT_DEVICE bool share_rms() const { return norm_ != Norm::none && norms_across_heads(g_.spec); }
  /// The head of a turn that the lane's group has.
  QKJIT_DEVICE unsigned own() const { return threadIdx.x / 32 * g_.groups.per_warp + lane_.group; }

  /// Takes a head; beyond the last one, none.
  QKJIT_DEVICE void load(unsigned head) {
    const bool has_head = head < rows_.heads && !lane_.is_left_over;
    const RowView row{rows_, token_, has_head ? head : 0};
    head_ = {block_.token,
             is_q(),
             is_v(),
             row.head,
             0,
             rows_.heads,
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

  /// Copies the head, one of V's, or stores it as FP8.
  QKJIT_DEVICE void copy() const { copy_any_rows<kDType, 1, kSlots>(g_.whole_rows, lane_, head_); }

  /// Takes the head through its steps. With `sums` only until its sum of squares is known, which it
  /// shows there; else it is stored. `r` is the reciprocal rms, where heads share it.
  QKJIT_DEVICE void run(float* sums, float r) {
    const bool norm_first = g_.spec.norm_order == NormOrder::before;
#pragma unroll
    for (int slot = 0; slot < kSlots; ++slot) held_[0][slot].unpack(y_[0][slot]);
#pragma unroll 1  // in either order, but each once in the code
    for (int step = 0; step < 2; ++step) {
      stay_in_loop(lane_.in.in_group);
      if ((step == 0) == norm_first) {
        if (norm_ == Norm::none) continue;
        const float sum = sum_of_squares_of_norm();
        if (sums) {
          if (lane_.in.in_group == 0 && !lane_.is_left_over) sums[own()] = sum;
          return;
        }
        scale(share_rms() ? r : reciprocal_rms(sum, g_.inv_head_dim, g_.common.eps));
      } else if (g_.spec.rope_dim > 0) {
        rotate_any_rows<kDType, kSlots, kForms>(g_, plain_, any_token(), lane_, angles_, shown_,
                                                y_);
      }
    }
    if (has_other_outputs(g_.spec)) {
      store_any_outputs<kDType, 1, kSlots>(g_, lane_, head_, y_);
    } else {
      store_any_rows<kDType, 1, kSlots>(g_.whole_rows, lane_, head_, y_);
    }
  }

 private:
  /// Of the head as the norm takes it: handed over by the rotation, and centred by a LayerNorm.
  QKJIT_DEVICE float sum_of_squares_of_norm() {
    const auto elements = [&](int slot) { return head_.elements[0] - lane_.first_element(slot); };
    float chunks[1][kSlots], sum[1];
    if (g_.spec.norm_order == NormOrder::after) {
      hand_over_row<kDType>(g_.spec.rounding, elements, y_[0]);
    }
    if (norm_ == Norm::layer) {
      sum_chunks(y_[0], chunks[0]);
      add_chunks(lane_.in, chunks, sum);
      centre_row(sum[0], g_.inv_head_dim, elements, y_[0]);
    }
    square_chunks(y_[0], chunks[0]);
    add_chunks(lane_.in, chunks, sum);
    return sum[0];
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

  QKJIT_DEVICE AnyToken any_token() const {
    return {block_.token, is_q(), head_.first_head, 0, rows_.heads};
  }

  const GenericParams& g_;
  TensorOfTeam block_;
  AnyLane lane_;
  Rows rows_;
  unsigned token_;  ///< in its sequence
  Norm norm_;
  float* shown_;  ///< shared memory of the warp
  typename AnySource<kForms>::Type plain_ = {};
  AnyAngles<kSlots> angles_ = {};
  AnyRows<Storage, 1> head_ = {};
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
  if (heads.is_v()) {
    for (unsigned turn = 0; turn < turns; ++turn) {
      heads.load(turn * per_turn + heads.own());
      heads.copy();
    }
    return;
  }
  const bool share_rms = heads.share_rms();
  PartialSums partial;
  float r = 0;
  unsigned held = 0;  // turn
  heads.load(heads.own());
  // Where heads share it, the sums of all turns come first, and then the turns in the reverse
  // order.
#pragma unroll 1
  for (unsigned i = share_rms ? 0 : turns; i < 2 * turns; ++i) {
    const bool adds_up = i < turns;
    const unsigned turn = adds_up ? i : share_rms ? 2 * turns - 1 - i : i - turns;
    const unsigned first = turn * per_turn, left = heads.count() - first;
    if (turn != held) heads.load(first + heads.own());
    held = turn;
    if (share_rms && i == turns) {
      r = reciprocal_rms(partial.total(), heads.inv_width(), g.common.eps);
    }
    heads.run(adds_up ? sums : nullptr, r);
    if (!adds_up) continue;
    __syncthreads();
    partial.add(sums, first, first + (left < per_turn ? left : per_turn));
    __syncthreads();  // before the next sums
  }
}

}  // namespace qkjit
