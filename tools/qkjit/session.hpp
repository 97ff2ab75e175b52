// A runtime for a command, and the GPU if there is one.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "cuda/workspace.hpp"
#include "runtime.hpp"
#include "tools/qkjit/console.hpp"

namespace qkjit {

/// With the settings of the environment; -v shows the library's own messages.
Result<std::unique_ptr<Runtime>> open_runtime(const Console& console);

/// A runtime that compiles like this one and keeps its kernels in memory alone.
std::unique_ptr<Runtime> without_cache(Runtime& runtime);

/// Where a command runs, as --device says.
struct Place {
  std::optional<Workspace> gpu;  ///< empty: host memory
  std::string description;       ///< "NVIDIA H200, driver 13.0", or why there is no GPU
  std::string target;            ///< what kernels are compiled for
};

/// `device` is auto, gpu or cpu. Without a GPU kernels are compiled for sm_90.
Result<Place> find_place(const std::string& device);

/// The counters that every command which may compile reports.
nlohmann::json counters_json(const Runtime& runtime);

}  // namespace qkjit
