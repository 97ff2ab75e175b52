// Environment variables. Read when a runtime is created, never on the launch path.
#pragma once

#include <cstdlib>
#include <string>

namespace qkjit {

/// The variable's value; empty if unset, and in a process with more rights than whoever started it:
/// variables name libraries to load.
inline std::string environment(const char* name) {
  const char* value = ::secure_getenv(name);
  return value ? value : "";
}

}  // namespace qkjit
