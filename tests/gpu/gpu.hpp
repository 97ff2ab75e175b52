// A GPU for a test: a stream, a runtime with an empty cache of its own, and problems in device
// memory.
#pragma once

#include <stdexcept>
#include <string>
#include <vector>

#include "cuda/workspace.hpp"
#include "tests/support/problem.hpp"
#include "tests/support/runtime.hpp"
#include "tests/unit/temporary_directory.hpp"

namespace qkjit::test {

/// The value of a result; std::runtime_error with its message if there is none.
template <class T>
T take(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().message);
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

/// Throws std::runtime_error with the library's message unless the call was OK.
void take(qkjit_status status);

/// The first device, current on this thread.
class Gpu {
 public:
  explicit Gpu(const qkjit_runtime_options& options = QKJIT_RUNTIME_OPTIONS_INIT);

  const Workspace& workspace() const { return workspace_; }
  Stream stream() const { return workspace_.stream(); }
  qkjit_runtime* runtime() const { return runtime_.get(); }
  std::string target() const;
  /// Another runtime on the same cache directory.
  RuntimePointer another_runtime(qkjit_runtime_options options) const;

 private:
  TemporaryDirectory cache_;
  Workspace workspace_;
  RuntimePointer runtime_;
};

/// A copy of a problem's blocks in device memory.
class DeviceProblem {
 public:
  DeviceProblem(const Workspace& workspace, const Problem& problem);

  qkjit_args args(qkjit_path path = QKJIT_PATH_NONE) const;
  qkjit_status launch(qkjit_runtime* runtime, qkjit_path path, qkjit_dispatch& dispatch) const;
  /// The problem with what the blocks hold when the stream has finished.
  Problem download() const;

 private:
  const Workspace& workspace_;
  const Problem& problem_;
  std::vector<std::size_t> offsets_;  // of the blocks
  DeviceBuffer memory_;
};

/// Uploads `before`, launches with `path`, and says what is wrong with the path taken (`wanted`) or
/// with any byte of the result ("" if nothing is). Callable from any thread.
std::string difference_on_device(const Workspace& workspace, qkjit_runtime* runtime,
                                 const Problem& before, const Problem& expected, qkjit_path path,
                                 qkjit_dispatch wanted);

/// Checks that every path gives the bytes of the CPU path and writes nothing else. `best` is what
/// path=NONE takes.
void check_every_path(const Gpu& gpu, const ProblemConfig& config,
                      qkjit_dispatch best = {QKJIT_PATH_FUSED, QKJIT_REASON_NONE});

}  // namespace qkjit::test
