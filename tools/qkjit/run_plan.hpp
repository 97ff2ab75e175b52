// What `run` is asked to do: its options, and the workloads that follow from them.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "tools/qkjit/workload.hpp"

namespace qkjit {

struct RunOptions {
  std::string model, call, spec, tensors, out;
  std::string device = "auto", path = "auto";
  std::int64_t tokens = 0, batches = 0;
  int heads_q = 24, heads_k = 24;
  qkjit_frequencies frequencies = {kBase, 1, 1, 0, 0, 1};
  float eps = 1e-6f;
  unsigned seed = 1;
  bool check = false;
};

/// What is to be run, one call at a time, because a model's tensors together may not fit.
struct RunPlan {
  std::string title;
  std::vector<std::function<Result<Workload>()>> workloads;
};

/// Nothing is generated yet; errors are those of the options.
Result<RunPlan> plan_run(const RunOptions& options);

}  // namespace qkjit
