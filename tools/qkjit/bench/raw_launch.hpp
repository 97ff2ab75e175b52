// The driver call that a launch through the library comes down to, without the library.
#pragma once

#include "cuda/driver.hpp"
#include "op/geometry.hpp"
#include "runtime.hpp"

namespace qkjit::bench {

struct RawLaunch {
  LoadedKernel kernel;
  FusedLaunch launch;
};

/// The fused kernel, grid and parameters with which the runtime serves the call on the device of
/// the current context.
Result<RawLaunch> raw_launch_of(Runtime& runtime, const qkjit_args& args);

}  // namespace qkjit::bench
