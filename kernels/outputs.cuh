// Where a token's rows go if outputs are of another kind: with FP8 scales, or to a slot of a paged
// cache. All paths ask this one function.
#pragma once

#include "params.cuh"
#include "platform.cuh"

namespace qkjit {

enum class Tensor { q, k, v };

/// The rows that a token has of a tensor, where they go. Strides are from head to head.
struct TokenOut {
  char* begin;       ///< head 0's row; null if the token has no slot
  long long stride;  ///< bytes
  float* scale;      ///< head 0's; null without FP8
  long long scale_stride;

  QKJIT_DEVICE bool exists() const { return begin != nullptr; }
};

/// The slot of a token of k, by its number through all sequences.
QKJIT_DEVICE long long slot_of(const Spec& spec, const Outputs& outputs, unsigned number) {
  if (spec.slots == Slots::int64) return static_cast<const long long*>(outputs.slots)[number];
  return static_cast<const int*>(outputs.slots)[number];
}

/// `call` has the members of OutputParams.
template <class Call>
QKJIT_DEVICE TokenOut find_out(const Spec& spec, const Call& call, Tensor tensor, unsigned sequence,
                               unsigned token) {
  const bool is_q = tensor == Tensor::q, is_v = tensor == Tensor::v;
  const Outputs& outputs = call.outputs;
  const Rows& rows = is_v ? call.v.rows : is_q ? call.common.q : call.common.k;
  const Sequences& of = is_v ? call.v.of : is_q ? call.batches.q : call.batches.k;
  const Scales& scales = is_v ? outputs.v : is_q ? outputs.q : outputs.k;
  unsigned outer = sequence, inner = token;
  bool exists = true;
  if (spec.cache == Cache::paged && !is_q) {
    const long long given = slot_of(spec, outputs, sequence * of.tokens + token);
    exists = given >= 0;
    const unsigned slot = exists ? static_cast<unsigned>(given) : 0;
    outer = slot / outputs.by_block;
    inner = slot - outer * outputs.block_size;
  }
  const int size = size_of_out(spec, is_q);
  const long long at = outer * of.out_stride + inner * rows.out_token_stride;
  return {exists ? static_cast<char*>(rows.out) + at * size : nullptr, rows.out_head_stride * size,
          scales.data + sequence * scales.sequence_stride + token * scales.token_stride,
          scales.head_stride};
}

}  // namespace qkjit
