// Runs a workload through the library, on host memory or on a GPU.
#pragma once

#include <memory>

#include "cuda/workspace.hpp"
#include "runtime.hpp"
#include "tools/qkjit/workload.hpp"

namespace qkjit {

struct Executed {
  Dispatch dispatch;
  double microseconds = 0;  ///< of one call: wall time on the host, median GPU time on a device
};

/// In place, in the workload's own blocks.
Result<Executed> execute_on_host(Runtime& runtime, Workload& work);

/// On copies in device memory; q and k of the workload then hold the result. Timed as a graph of
/// launches that rotate over enough buffers to leave the L2 cache.
Result<Executed> execute_on_device(Runtime& runtime, const Workspace& gpu, Workload& work);

}  // namespace qkjit
