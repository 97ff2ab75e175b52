// From a fresh process to the first launch, with the kernel in the cache.
#pragma once

#include "tools/qkjit/bench/cases.hpp"
#include "tools/qkjit/bench/temporary_cache.hpp"

namespace qkjit::bench {

/// Milliseconds, medians over kProcesses processes.
struct StartUp {
  double driver = 0;   ///< cuInit, context, memory: what any CUDA program pays
  double runtime = 0;  ///< creating the runtime
  double lookup = 0;   ///< finding the spec's first kernel in the cache
  double load = 0;     ///< finding its others, and loading the one that the case needs
  double launch = 0;   ///< the first launch, until the GPU has finished it

  double without_driver() const { return runtime + lookup + load + launch; }
};

/// `cache` must hold the kernel of the case for `target`, the GPU's own.
Result<StartUp> measure_start_up(const Case& wanted, const std::string& target,
                                 const TemporaryCache& cache);

/// What the first GPU's kernels are compiled for, found out without initialising CUDA here.
Result<std::string> target_of_gpu();

}  // namespace qkjit::bench
