// Two calls that one launch serves: the streams of a dual-stream block.
#pragma once

#include "op/check.hpp"
#include "spec/streams.hpp"
#include "util/grid.hpp"

namespace qkjit {

/// Checked calls run side by side: neither may write what the other reads or writes.
/// Code::invalid_argument names both tensors.
Result<void> check_apart(const Operation& first, const Operation& second);

struct DualLaunch {
  DualParams params;
  Grid grid;
};
/// Both variants have the same threads and the same `pdl`.
DualLaunch dual_launch(const Operation& first, const Operation& second, const Variants& variants);

}  // namespace qkjit
