// How the batches of a problem may lie, for every suite that runs kernels on them.
#pragma once

#include "tests/support/problem.hpp"

namespace qkjit::test {

inline constexpr std::size_t kBatchForms = 10;

/// The problem in form `i` of the list, of a spec with batch=strided: sequences with gaps, of
/// tokens with the positions of all or their own, q and k of different lengths, and either alone.
inline ProblemConfig with_batches(ProblemConfig config, std::size_t i) {
  config.spec.batch = Batch::strided;
  const auto lengths = [&](std::int64_t k, bool own_positions) {
    config.tokens_k = k, config.own_k_positions = own_positions;
    if (config.strides == Strides::packed) config.strides = Strides::contiguous;
  };
  switch (i % kBatchForms) {
    case 0:
      config.batches = 3, config.gap_of_batches = true;
      break;
    case 1:
      config.batches = 2, config.batch_positions = false;
      break;
    case 2:
      config.batches = 2, lengths(config.tokens - 1, true);
      break;
    case 3:
      config.batches = 3, lengths(config.tokens + 3, false);
      break;
    case 4:
      lengths(2 * config.tokens, true);
      break;
    case 5:
      config.heads_k = 0, config.batches = 3, config.batch_positions = false;
      break;
    case 6:
      config.heads_q = 0, config.batches = 2, config.gap_of_batches = true;
      break;
    case 7:
      config.batches = 2;  // folds, if the strides do
      break;
    case 8:
      config.batches = 2, config.gap_of_batches = true, config.batch_positions = false;
      lengths(1, true);
      break;
    default:
      config.heads_k = 0;  // one sequence
      break;
  }
  if (config.spec.positions == Positions::implicit) config.own_k_positions = false;
  if (config.spec.rope_dim == 0) config.own_k_positions = false;
  if (config.heads_k == 0) config.spec.v = Values::none, config.heads_v = 0;
  return config;
}

}  // namespace qkjit::test
