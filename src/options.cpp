#include "options.hpp"

#include <unistd.h>

#include <filesystem>
#include <string_view>

#include "util/environment.hpp"

namespace qkjit {
namespace {

std::string option_or(const char* option, const char* variable) {
  return option && *option ? option : environment(variable);
}

std::vector<CacheDirectory> split_path(std::string_view path) {
  std::vector<CacheDirectory> directories;
  while (!path.empty()) {
    const std::size_t colon = std::min(path.find(':'), path.size());
    if (colon > 0) directories.emplace_back(std::filesystem::absolute(path.substr(0, colon)));
    path.remove_prefix(std::min(colon + 1, path.size()));
  }
  return directories;
}

Result<bool> may_compile(qkjit_compile_policy policy) {
  if (policy == QKJIT_COMPILE_BLOCK) return true;
  if (policy == QKJIT_COMPILE_NEVER) return false;
  if (policy != QKJIT_COMPILE_DEFAULT) {
    return fail(Code::invalid_argument,
                "compile policy {} is unknown: use QKJIT_COMPILE_BLOCK or _NEVER",
                static_cast<int>(policy));
  }
  const std::string value = environment("QKJIT_COMPILE");
  if (value.empty() || value == "block") return true;
  if (value == "never") return false;
  return fail(Code::invalid_argument, "QKJIT_COMPILE={} is unknown: use block or never", value);
}

}  // namespace

std::string default_cache_directory() {
  if (const std::string directory = environment("QKJIT_CACHE_DIR"); !directory.empty())
    return directory;
  if (const std::string xdg = environment("XDG_CACHE_HOME"); !xdg.empty()) return xdg + "/qkjit";
  if (const std::string home = environment("HOME"); !home.empty()) return home + "/.cache/qkjit";
  return {};
}

Result<RuntimeOptions> resolve_options(const qkjit_runtime_options& options) {
  if (options.struct_size != sizeof(qkjit_runtime_options)) {
    return fail(Code::invalid_argument,
                "qkjit_runtime_options.struct_size is {}, this library has {}: start from "
                "QKJIT_RUNTIME_OPTIONS_INIT and link the library of the same header",
                options.struct_size, sizeof(qkjit_runtime_options));
  }
  if (options.cpu_threads < 0) {
    return fail(Code::invalid_argument,
                "cpu_threads is {}: use 0 for all cores, or a positive number",
                options.cpu_threads);
  }
  const auto compiles = may_compile(options.compile);
  if (!compiles) return tl::unexpected(compiles.error());
  auto log = Log::create(options.log, options.log_user_data, environment("QKJIT_LOG"));
  if (!log) return tl::unexpected(log.error());

  RuntimeOptions resolved;
  resolved.log = std::move(*log);
  resolved.strict = options.strict != 0;
  resolved.cpu_threads = options.cpu_threads;
  resolved.jit.may_compile = *compiles;
  resolved.jit.read_only = split_path(option_or(options.cache_path, "QKJIT_CACHE_PATH"));
  for (const CacheDirectory& layer : resolved.jit.read_only) {
    if (::access(layer.path().c_str(), R_OK | X_OK) == 0) continue;
    resolved.log->warn("QKJIT_CACHE_PATH names {}, which cannot be read: nothing is found there",
                       layer.path().string());
  }
  const std::string given = options.cache_dir ? options.cache_dir : "";
  const std::string directory = given.empty() ? default_cache_directory() : given;
  if (directory.empty()) {
    resolved.log->warn_once("cache",
                            "kernels stay in memory: there is no QKJIT_CACHE_DIR, "
                            "XDG_CACHE_HOME or HOME to keep them in");
  } else {
    // Absolute, so that a later chdir() of the host does not move the cache.
    resolved.jit.writable = CacheDirectory(std::filesystem::absolute(directory));
  }
  resolved.jit.open_compiler = [library = option_or(options.nvrtc, "QKJIT_NVRTC")] {
    return Nvrtc::open(library);
  };
  return resolved;
}

}  // namespace qkjit
