#include "tools/qkjit/session.hpp"

#include <cstdio>

#include "options.hpp"

namespace qkjit {
namespace {

constexpr const char* kTargetWithoutGpu = "sm_90";

void print_log(int level, const char* message, void* user_data) {
  const int verbosity = *static_cast<const int*>(user_data);
  const int threshold = verbosity < 0 ? 4 : verbosity == 0 ? 3 : 1;  // error, warning, debug
  if (level >= threshold) std::fprintf(stderr, "qkjit: %s\n", message);
}

}  // namespace

Result<std::unique_ptr<Runtime>> open_runtime(const Console& console) {
  qkjit_runtime_options options = QKJIT_RUNTIME_OPTIONS_INIT;
  options.log = print_log;
  options.log_user_data = const_cast<int*>(&console.verbosity);
  auto resolved = resolve_options(options);
  if (!resolved) return tl::unexpected(resolved.error());
  return std::make_unique<Runtime>(std::move(*resolved));
}

std::unique_ptr<Runtime> without_cache(Runtime& runtime) {
  RuntimeOptions options;
  options.jit = runtime.jit().options();
  options.jit.writable.reset();
  options.jit.read_only.clear();
  options.log = runtime.log();
  return std::make_unique<Runtime>(std::move(options));
}

Result<Place> find_place(const std::string& device) {
  if (device == "cpu") return Place{std::nullopt, "host memory, as asked", kTargetWithoutGpu};
  const auto driver = Driver::open();
  if (!driver) {
    if (device == "gpu") return tl::unexpected(driver.error());
    return Place{std::nullopt, "host memory (no usable CUDA driver; `qkjit doctor` says more)",
                 kTargetWithoutGpu};
  }
  auto gpu = Workspace::create(*driver);
  if (!gpu) return tl::unexpected(gpu.error());
  const auto name = (*driver)->device_name(0);
  if (!name) return tl::unexpected(name.error());
  const auto target = (*driver)->target(0);
  if (!target) return tl::unexpected(target.error());
  return Place{std::move(*gpu), fmt::format("{}, CUDA driver {}", *name, (*driver)->version()),
               *target};
}

nlohmann::json counters_json(const Runtime& runtime) {
  const Stats stats = runtime.stats();
  return {{"compiled", stats.compiled},
          {"hits", stats.cache_hits},
          {"failed", stats.failed},
          {"requests",
           {{"all", stats.requests},
            {"memory", stats.memory_hits},
            {"writable", stats.writable_hits},
            {"read_only", stats.read_only_hits},
            {"further", stats.further_hits},
            {"missed", stats.misses}}},
          {"lock_waits", stats.lock_waits},
          {"background", {{"pending", stats.background_pending}, {"done", stats.background_done}}},
          {"ms",
           {{"cache_read", stats.cache_read_ms},
            {"compile", stats.compile_ms},
            {"front_end", stats.front_end_ms},
            {"load", stats.load_ms}}}};
}

}  // namespace qkjit
