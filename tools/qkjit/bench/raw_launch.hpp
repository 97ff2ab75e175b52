// The driver call that a launch through the library comes down to, without the library.
#pragma once

#include "cuda/driver.hpp"
#include "runtime.hpp"

namespace qkjit::bench {

struct RawLaunch {
  LoadedKernel kernel;
  Grid grid;
  Params params;
};

/// The fused kernel, grid and parameters with which the runtime would serve the call.
Result<RawLaunch> raw_launch_of(Runtime& runtime, const Driver& driver, const qkjit_args& args,
                                const std::string& target);

}  // namespace qkjit::bench
