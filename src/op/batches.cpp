#include "op/batches.hpp"

#include <algorithm>

namespace qkjit {
namespace {

bool folds(const HeadViews& views) {
  return !views.exist() || (folds(views.in.extent) && (views.is_paged || folds(views.out.extent)));
}

}  // namespace

Result<Lengths> check_lengths(const HeadViews& q, const HeadViews& k, const Spec& spec) {
  const bool both = !q.in.is_absent && !k.in.is_absent;
  const HeadView& any = q.in.is_absent ? k.in : q.in;
  const Extent &eq = q.in.extent, &ek = k.in.extent;
  if (both && q.in.is_batched != k.in.is_batched) {
    return fail(Code::invalid_argument,
                "q has rank {} and k has rank {}: give both with a batch dimension, or none",
                q.in.is_batched ? 4 : 3, k.in.is_batched ? 4 : 3);
  }
  if (both && eq.batches != ek.batches) {
    return fail(Code::invalid_argument, "q has {} sequences and k has {}: give both the same",
                eq.batches, ek.batches);
  }
  if (both && eq.tokens != ek.tokens && spec.batch == Batch::folded) {
    return fail(Code::invalid_argument,
                "q has {} tokens and k has {}: give both the same tokens, use a spec with "
                "batch=strided, or make two calls, of q alone and of k alone",
                eq.tokens, ek.tokens);
  }
  const std::int64_t heads = !both ? any.extent.heads : std::max(eq.heads, ek.heads);
  return Lengths{any.is_batched, any.extent.batches, eq.tokens, ek.tokens, heads};
}

Result<void> check_length_of_v(const HeadViews& k, const HeadViews& v) {
  if (v.in.is_absent) return {};
  const Extent &ek = k.in.extent, &ev = v.in.extent;
  const bool same = v.in.is_batched == k.in.is_batched && ev.batches == ek.batches &&
                    ev.tokens == ek.tokens && !k.in.is_absent;
  if (same) return {};
  return fail(Code::invalid_argument,
              "v has {} sequences of {} tokens and k has {} of {}: give k, and v of the same rank, "
              "sequences and tokens",
              ev.batches, ev.tokens, k.in.is_absent ? 0 : ek.batches, ek.tokens);
}

bool folds(const HeadViews& q, const HeadViews& k, const HeadViews& v, const Rotation& rotation,
           const Spec& spec, const Lengths& lengths) {
  const bool same_tokens = !q.exist() || !k.exist() || lengths.q == lengths.k;
  return same_tokens && rotation.q_positions == rotation.k_positions && folds(q) && folds(k) &&
         folds(v) && positions_fold(rotation, spec, lengths);
}

Sequences to_sequences(const HeadViews& views, const PositionView& positions, int in_size,
                       int out_size) {
  return {.in_stride = views.in.extent.batch_stride / in_size,
          .out_stride = views.out.extent.batch_stride / out_size,
          .positions = positions.memory.data,
          .position_stride = positions.batch_stride,
          .position_axis_stride = positions.axis_stride,
          .tokens = static_cast<unsigned>(views.in.extent.tokens)};
}

HeadViews folded(const HeadViews& views) {
  HeadViews one = views;
  one.in.extent = folded(views.in.extent);
  if (!views.is_paged) one.out.extent = folded(views.out.extent);
  return one;
}

Batches to_batches(const HeadViews& q, const HeadViews& k, const Rotation& rotation,
                   std::int64_t longest, const Spec& spec) {
  const auto tokens = static_cast<unsigned>(longest);
  const int size = size_of(spec.dtype);
  return {to_sequences(q, rotation.q_positions, size, size_of_out(spec, true)),
          to_sequences(k, rotation.k_positions, size, size_of_out(spec, false)), tokens,
          Divisor::of(tokens)};
}

}  // namespace qkjit
