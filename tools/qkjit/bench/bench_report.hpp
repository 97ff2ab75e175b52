// What `bench` has to say: tables, JSON and a chart.
#pragma once

#include "tools/qkjit/bench/results.hpp"
#include "tools/qkjit/console.hpp"

namespace qkjit::bench {

struct Report {
  std::string device, driver;  ///< "NVIDIA H200", "13.0"
  bool resident = false;
  std::vector<CaseResult> results;
  nlohmann::json counters;  ///< of kernels compiled and found
};

/// The table, or with --json {"schema": "qkjit.bench/1", ...}.
void print(const Console& console, const Report& report);

std::string chart_of(const Report& report);

/// The names of the cases and what they are, without measuring anything.
void print_list(const Console& console, const std::vector<Case>& cases);

/// Today in UTC, and this process's command line without its directory: where results come from.
std::string command_line();

}  // namespace qkjit::bench
