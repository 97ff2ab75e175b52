// What a launch through the C interface costs the host, against the driver call alone.
#pragma once

#include "tools/qkjit/bench/cases.hpp"
#include "tools/qkjit/console.hpp"

namespace qkjit::bench {

/// Microseconds of one call.
struct CallCost {
  double p50 = 0, p99 = 0;  ///< over single calls, less the clock's own cost
  double batch = 0;         ///< median over batches of the mean of a batch of such calls
};

struct LaunchCost {
  std::string device, driver;
  CallCost library, raw;
  double clock = 0;        ///< microseconds of reading the clock, which the samples exclude
  double allocations = 0;  ///< calls of operator new per launch through the library
};

/// Initialises CUDA in this process.
Result<LaunchCost> measure_launch_cost(const Console& console, const Case& wanted);

}  // namespace qkjit::bench
