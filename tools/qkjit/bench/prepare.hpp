// Compiles all kernels of all cases before anything is timed.
#pragma once

#include "runtime.hpp"
#include "tools/qkjit/bench/cases.hpp"
#include "tools/qkjit/console.hpp"

namespace qkjit::bench {

/// On as many threads as NVRTC gains from. A kernel that cannot be compiled is left to the call
/// that needs it, which says why.
void prepare(Runtime& runtime, const Console& console, const std::vector<Case>& cases,
             const std::string& target);

}  // namespace qkjit::bench
