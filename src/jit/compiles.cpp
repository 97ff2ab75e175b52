#include "jit/compiles.hpp"

namespace qkjit {

/// Never destroyed: what compiles may be the last to end.
Compiling::Process& Compiling::process() {
  static Process& process = *new Process;
  return process;
}

}  // namespace qkjit
