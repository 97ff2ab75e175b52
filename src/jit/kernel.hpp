// A fused kernel as code: compiled or found in the cache, not yet loaded.
#pragma once

#include <string>

#include "compile/resources.hpp"

namespace qkjit {

/// Where a kernel came from.
enum class Origin { compiled, cache };

struct Kernel {
  std::string entry;    ///< name of the function in the cubin
  std::string target;   ///< "sm_90"
  std::string variant;  ///< "lanes=16,rows=2,threads=128"
  std::string cubin;
  std::string packed_ptx;  ///< util/packed.hpp
  std::string compiler;    ///< "NVRTC 13.0"
  Resources resources;
  std::string key;  ///< digest, which is the entry's file name in a cache directory
  Origin origin = Origin::compiled;
  double compile_ms = 0;              ///< wall time of the compile that made it
  std::string toolchain = "unknown";  ///< the compiler's identity (toolchain.hpp)
};

}  // namespace qkjit
