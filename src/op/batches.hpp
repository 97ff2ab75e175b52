// The sequences of a call: whether they are tokens of one long sequence, and where each lies if
// not.
#pragma once

#include "kernels/params.cuh"
#include "op/rotation.hpp"
#include "op/tensor.hpp"

namespace qkjit {

/// q or k and its output; of nothing if the call has none, or no tokens of it.
struct HeadViews {
  HeadView in, out;
  bool is_paged = false;  ///< `out` is a cache, whose blocks are no sequences

  bool exist() const { return in.tokens() > 0; }
};

/// q and k have the same number of sequences; with Batch::folded, where both are given, of the same
/// length too.
Result<Lengths> check_lengths(const HeadViews& q, const HeadViews& k, const Spec& spec);
/// V, if there is one, has as many sequences and tokens as k.
Result<void> check_length_of_v(const HeadViews& k, const HeadViews& v);

/// Whether the call is one of a single sequence, of which all sequences are parts one after
/// another.
bool folds(const HeadViews& q, const HeadViews& k, const HeadViews& v, const Rotation& rotation,
           const Spec& spec, const Lengths& lengths);
/// The same rows in one batch, if folds().
HeadViews folded(const HeadViews& views);

/// What a kernel is told of them. `longest` is that of q and k.
Sequences to_sequences(const HeadViews& views, const PositionView& positions, int in_size,
                       int out_size);
Batches to_batches(const HeadViews& q, const HeadViews& k, const Rotation& rotation,
                   std::int64_t longest, const Spec& spec);

}  // namespace qkjit
