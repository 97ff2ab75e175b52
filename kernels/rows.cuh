// Where a row of q or k lies.
#pragma once

#include "params.cuh"
#include "platform.cuh"

namespace qkjit {

/// One row of q or k.
struct RowView {
  const Rows& rows;
  unsigned token;
  unsigned head;

  QKJIT_DEVICE long long in_offset() const {
    return token * rows.in_token_stride + head * rows.in_head_stride;
  }
  QKJIT_DEVICE long long out_offset() const {
    return token * rows.out_token_stride + head * rows.out_head_stride;
  }
};

/// For paths that number rows through the call: token by token, q's heads before k's. `by_heads`
/// divides by their sum.
QKJIT_DEVICE RowView find_row(const Params& p, unsigned row, Divisor by_heads) {
  const unsigned token = row / by_heads;
  const unsigned head = row - token * (p.q.heads + p.k.heads);
  const bool is_q = head < p.q.heads;
  return {is_q ? p.q : p.k, token, is_q ? head : head - p.q.heads};
}

}  // namespace qkjit
