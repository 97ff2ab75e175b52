// What a command did, as rows of a table and as JSON.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "jit/kernel.hpp"
#include "tools/oracle/check.hpp"
#include "tools/qkjit/console.hpp"
#include "tools/qkjit/execute.hpp"

namespace qkjit {

/// One call that was made.
struct CallReport {
  std::string name, spec;
  int repeat = 1;
  std::int64_t tokens = 0, heads_q = 0, heads_k = 0;
  double bytes_moved = 0;
  Executed executed;
  std::optional<oracle::CheckResult> check;  ///< if one was asked for

  bool passed() const { return !check || check->passed; }
};

/// All that `run` has to say.
struct RunReport {
  std::string title, device, target;
  std::vector<Kernel> kernels;
  std::vector<CallReport> calls;
};

/// As text, or with --json as one document together with the counters.
void print(const Console& console, const RunReport& report, const nlohmann::json& counters);

nlohmann::json to_json(const Kernel& kernel);

}  // namespace qkjit
