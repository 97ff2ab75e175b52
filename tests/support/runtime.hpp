// Runtimes of the C interface for tests, and the CPU path on a generated problem.
#pragma once

#include <memory>

#include "qkjit/qkjit.h"
#include "tests/support/problem.hpp"

namespace qkjit::test {

struct DestroyRuntime {
  void operator()(qkjit_runtime* runtime) const { qkjit_runtime_destroy(runtime); }
};
using RuntimePointer = std::unique_ptr<qkjit_runtime, DestroyRuntime>;

/// Throws std::runtime_error with the library's message.
RuntimePointer make_runtime(const qkjit_runtime_options& options);

/// Runs the problem on the CPU path, through qkjit_launch(). Throws as make_runtime() does.
void run_on_host(Problem& problem);

}  // namespace qkjit::test
