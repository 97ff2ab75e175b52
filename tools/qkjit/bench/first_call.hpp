// What the first call of a process costs, against NVRTC's time for an empty kernel.
#pragma once

#include "kernels/spec.cuh"
#include "tools/qkjit/bench/temporary_cache.hpp"

namespace qkjit::bench {

/// Fresh processes per number; the numbers are their medians.
inline constexpr int kProcesses = 11;

/// Milliseconds.
struct FirstCall {
  double empty = 0;    ///< open NVRTC and compile `__global__ void empty() {}`
  double compile = 0;  ///< open NVRTC and compile the kernel
  double cold = 0;     ///< the same with an empty cache, which keeps it: written and synced to disk
  double warm = 0;     ///< the same with that cache, so without NVRTC
};

/// Needs no GPU. Leaves the kernel in the cache.
Result<FirstCall> measure_first_call(const Spec& spec, const std::string& target,
                                     const TemporaryCache& cache);

}  // namespace qkjit::bench
