#include "tests/support/runtime.hpp"

#include <stdexcept>

namespace qkjit::test {
namespace {

void require_ok(qkjit_status status) {
  if (status != QKJIT_OK) throw std::runtime_error(qkjit_last_error());
}

}  // namespace

RuntimePointer make_runtime(const qkjit_runtime_options& options) {
  qkjit_runtime* runtime = nullptr;
  require_ok(qkjit_runtime_create(&options, &runtime));
  return RuntimePointer(runtime);
}

void run_on_host(Problem& problem) {
  static const RuntimePointer runtime = make_runtime(QKJIT_RUNTIME_OPTIONS_INIT);
  const qkjit_args args = problem.args();
  require_ok(qkjit_launch(runtime.get(), &args, QKJIT_STREAM_HOST, nullptr));
}

}  // namespace qkjit::test
