// From a token's number to its sequence, where batches do not fold: the sequence is then a call of
// its own, of which all else is as in a folded one.
#pragma once

#include "params.cuh"
#include "platform.cuh"

namespace qkjit {

struct TokenOfSequence {
  unsigned sequence;
  unsigned token;  ///< within it; q or k may have fewer
};

QKJIT_DEVICE TokenOfSequence find_in_sequence(const Batches& batches, unsigned number) {
  const unsigned sequence = number / batches.by_tokens;
  return {sequence, number - sequence * batches.tokens};
}

/// The rows of a sequence, with elements of `element_size` bytes. Other outputs go by find_out().
QKJIT_DEVICE Rows rows_of_sequence(Rows rows, const Sequences& of, int element_size,
                                   unsigned sequence) {
  const long long in = sequence * of.in_stride, out = sequence * of.out_stride;
  rows.in = static_cast<const char*>(rows.in) + in * element_size;
  rows.out = static_cast<char*>(rows.out) + out * element_size;
  return rows;
}

/// The positions of a sequence; implicit ones are those of its tokens as it is.
QKJIT_DEVICE Params positions_of_sequence(Params p, Positions positions, const Batches& batches,
                                          const Sequences& of, unsigned sequence) {
  const int size = positions == Positions::int64 ? 8 : 4;
  const long long at = sequence * of.position_stride;
  p.positions = static_cast<const char*>(of.positions) + at * size;
  p.position_axis_stride = of.position_axis_stride;
  p.first_token = sequence * batches.tokens;
  return p;
}

/// Where a token of q or of k lies: the rows of its tensor, and what else it needs of the call.
template <Batch kBatch>
struct PlaceOfToken {
  const Params& params;
  const Rows& rows;
  unsigned token;
  bool exists;
  unsigned sequence;

  static QKJIT_DEVICE PlaceOfToken of(const Spec&, const FusedParams& f, bool is_q,
                                      unsigned number) {
    return {f.common, is_q ? f.common.q : f.common.k, number, true, 0};
  }
};

template <>
struct PlaceOfToken<Batch::strided> {
  Params params;
  Rows rows;
  unsigned token;
  bool exists;  ///< q or k may have fewer tokens than there are numbers
  unsigned sequence;

  static QKJIT_DEVICE PlaceOfToken of(const Spec& spec, const BatchedParams& f, bool is_q,
                                      unsigned number) {
    const Rows& rows = is_q ? f.common.q : f.common.k;
    const Sequences& of = is_q ? f.batches.q : f.batches.k;
    const TokenOfSequence in = find_in_sequence(f.batches, number);
    return {positions_of_sequence(f.common, spec.positions, f.batches, of, in.sequence),
            rows_of_sequence(rows, of, size_of(spec.dtype), in.sequence), in.token,
            in.token < of.tokens, in.sequence};
  }
};

}  // namespace qkjit
