// What the pool holds: random q, k, weights and tables, and each case's positions.
#pragma once

#include <cstddef>
#include <vector>

#include "tools/qkjit/bench/cases.hpp"

namespace qkjit::bench {

/// Normally distributed bf16 values, `bytes` of them, cheap enough to make once a run. Read as fp16
/// or fp32 they are finite random values too, and that is all a time depends on.
std::vector<std::byte> random_pattern(std::size_t bytes);

struct PositionData {
  std::vector<std::byte> array;    ///< of the spec's type; empty if the case takes none
  std::int64_t distinct_rows = 0;  ///< rows of the table that the case reads
};

PositionData positions_of(const Case& wanted);

}  // namespace qkjit::bench
