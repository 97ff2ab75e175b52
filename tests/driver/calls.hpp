// Calls for the fake driver.
#pragma once

#include "qkjit/qkjit.h"
#include "tests/unit/fake_args.hpp"

namespace qkjit::test {

/// A call of the fixture's kSpec in place, on addresses that belong to nobody. Heads lie
/// `head_stride` apart.
inline qkjit_args call_of(std::int64_t tokens, std::int64_t head_stride = 128) {
  qkjit_args args = QKJIT_ARGS_INIT;
  args.spec.head_dim = args.spec.rope_dim = 128;
  args.spec.positions = QKJIT_POSITIONS_IMPLICIT;
  args.q = qkjit_tensor_3d(address(1ull << 40), QKJIT_BF16, tokens, 24, 128);
  args.q.strides[0] = 24 * head_stride, args.q.strides[1] = head_stride;
  args.k = args.q;
  args.k.data = address(1ull << 41);
  args.q_weight = qkjit_tensor_1d(address(0x500000), QKJIT_BF16, 128);
  args.k_weight = qkjit_tensor_1d(address(0x600000), QKJIT_BF16, 128);
  args.cos_sin_cache = qkjit_tensor_2d(address(0x700000), QKJIT_FP32, tokens, 128);
  return args;
}
inline qkjit_args small_call() { return call_of(16); }
inline qkjit_args large_call() { return call_of(16384); }
/// One that only the first kernel, or the generic one, can serve.
inline qkjit_args large_call_with_gaps() { return call_of(16384, 256); }
inline qkjit_args misaligned_call() {
  qkjit_args args = small_call();
  args.q.data = address((1ull << 40) + 2);
  return args;
}

}  // namespace qkjit::test
