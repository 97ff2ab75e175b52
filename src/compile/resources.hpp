// What a kernel uses of a multiprocessor, read from the compiler's log.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace qkjit {

struct Resources {
  std::string kernel;
  int registers = 0;
  int spill_stores = 0;  ///< bytes
  int spill_loads = 0;   ///< bytes
  int stack = 0;         ///< bytes a thread
  int shared = 0;        ///< static bytes a block
};

/// From the log of a compile with --ptxas-options=-v; empty if there is nothing to read.
std::vector<Resources> parse_resources(std::string_view log);

}  // namespace qkjit
