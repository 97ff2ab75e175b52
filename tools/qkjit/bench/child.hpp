// Work in a process of its own, for what happens only once in a process.
#pragma once

#include <functional>
#include <vector>

#include "util/error.hpp"

namespace qkjit::bench {

/// The numbers, or the error, that `work` gives in a child. This process must not have initialised
/// CUDA, which does not survive a fork.
Result<std::vector<double>> in_child(const std::function<Result<std::vector<double>>()>& work);

}  // namespace qkjit::bench
