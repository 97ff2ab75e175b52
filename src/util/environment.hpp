// Environment variables. Read when a runtime is created, never on the launch path.
#pragma once

#include <cstdlib>
#include <string>

namespace qkjit {

/// The variable's value; empty if unset.
inline std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

}  // namespace qkjit
