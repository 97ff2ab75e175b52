// A call on addresses that belong to nobody, for checks that read no tensor's memory.
#pragma once

#include <cstdint>

#include "qkjit/qkjit.h"

inline void* address(std::uintptr_t at) { return reinterpret_cast<void*>(at); }

/// 4 tokens, 3 heads of q, 2 of k, head_dim = rope_dim = 64, bf16, out of place, all aligned and
/// far apart; a table of 10 rows. Good as it is.
inline qkjit_args fake_args() {
  qkjit_args args = QKJIT_ARGS_INIT;
  args.spec = {sizeof(qkjit_spec),
               64,
               64,
               QKJIT_NEOX,
               QKJIT_BF16,
               QKJIT_ROUNDING_FUSED,
               QKJIT_POSITIONS_INT64,
               QKJIT_NORM_RMS,
               QKJIT_NORM_RMS,
               QKJIT_WEIGHT_PLAIN,
               QKJIT_BIAS_NO,
               QKJIT_WEIGHT_DTYPE_SAME,
               QKJIT_NORM_ORDER_BEFORE};
  args.q = qkjit_tensor_3d(address(0x100000), QKJIT_BF16, 4, 3, 64);
  args.k = qkjit_tensor_3d(address(0x200000), QKJIT_BF16, 4, 2, 64);
  args.q_out = qkjit_tensor_3d(address(0x300000), QKJIT_BF16, 4, 3, 64);
  args.k_out = qkjit_tensor_3d(address(0x400000), QKJIT_BF16, 4, 2, 64);
  args.q_weight = qkjit_tensor_1d(address(0x500000), QKJIT_BF16, 64);
  args.k_weight = qkjit_tensor_1d(address(0x600000), QKJIT_BF16, 64);
  args.cos_sin_cache = qkjit_tensor_2d(address(0x700000), QKJIT_FP32, 10, 64);
  args.positions = qkjit_tensor_1d(address(0x800000), QKJIT_INT64, 4);
  return args;
}
