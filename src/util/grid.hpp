// The shape of a launch: what the operation decides and the driver is told.
#pragma once

namespace qkjit {

struct Grid {
  unsigned blocks;
  unsigned threads;
  unsigned shared_bytes = 0;  ///< of memory_of_launch()
  bool pdl = false;  ///< may be set up while the grid before it in the stream still runs
};

}  // namespace qkjit
