// Compiling many kernels at once.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "runtime.hpp"

namespace qkjit {

/// One kernel to compile or find.
struct Job {
  Spec spec;
  Variant variant;
  std::string target;

  Key key() const { return kernel_key(spec, variant, target); }
};

struct JobResult {
  Job job;
  Result<std::shared_ptr<const Kernel>> kernel;
};

/// Every job, on up to `threads` threads (0: the cores, at most 8, where NVRTC stops to gain).
/// `done` is called once a job, by one thread at a time. When `stop` says so no more are started,
/// and those have no result. Results are in the order of the jobs.
std::vector<JobResult> run_jobs(Runtime& runtime, const std::vector<Job>& jobs, int threads,
                                const std::function<void(const JobResult&)>& done,
                                const std::function<bool()>& stop);

/// Every spec for every target, in all variants that the library chooses from.
std::vector<Job> cross(const std::vector<Spec>& specs, const std::vector<std::string>& targets);

}  // namespace qkjit
