#include "options.hpp"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <optional>
#include <string_view>
#include <thread>

#include "util/c_enum.hpp"
#include "util/environment.hpp"
#include "util/trust.hpp"

namespace qkjit {
namespace {

std::string option_or(const char* option, const char* variable) {
  return option && *option ? option : environment(variable);
}

std::vector<ReadOnlyDirectory> split_path(std::string_view path,
                                          const std::optional<PublicKey>& key) {
  std::vector<ReadOnlyDirectory> directories;
  while (!path.empty()) {
    const std::size_t colon = std::min(path.find(':'), path.size());
    if (colon > 0) {
      directories.emplace_back(CacheDirectory(std::filesystem::absolute(path.substr(0, colon))),
                               key);
    }
    path.remove_prefix(std::min(colon + 1, path.size()));
  }
  return directories;
}

/// `policy` and `mode` are the numbers of the options' enumerations.
Result<CompilePolicy> compile_policy(int policy) {
  if (policy == QKJIT_COMPILE_BLOCK) return CompilePolicy::block;
  if (policy == QKJIT_COMPILE_BACKGROUND) return CompilePolicy::background;
  if (policy == QKJIT_COMPILE_NEVER) return CompilePolicy::never;
  if (policy != QKJIT_COMPILE_DEFAULT) {
    return fail(Code::invalid_argument,
                "compile policy {} is unknown: use QKJIT_COMPILE_BLOCK, _BACKGROUND or _NEVER",
                policy);
  }
  const std::string value = environment("QKJIT_COMPILE");
  if (value.empty() || value == "block") return CompilePolicy::block;
  if (value == "background") return CompilePolicy::background;
  if (value == "never") return CompilePolicy::never;
  return fail(Code::invalid_argument, "QKJIT_COMPILE={} is unknown: use block, background or never",
              value);
}

/// Of `option`, unless it is 0: two, since more would take the host's cores for work that nobody
/// waits for.
unsigned background_threads(int option) {
  if (option > 0) return static_cast<unsigned>(option);
  return std::clamp(std::thread::hardware_concurrency(), 1u, 2u);
}

Result<qkjit_cache_mode> cache_mode(int mode) {
  if (mode < QKJIT_CACHE_DEFAULT || mode > QKJIT_CACHE_OFF) {
    return fail(Code::invalid_argument,
                "cache mode {} is unknown: use QKJIT_CACHE_READ_WRITE, _READ_ONLY or _OFF", mode);
  }
  if (mode != QKJIT_CACHE_DEFAULT) return static_cast<qkjit_cache_mode>(mode);
  const std::string value = environment("QKJIT_CACHE");
  if (value.empty() || value == "rw") return QKJIT_CACHE_READ_WRITE;
  if (value == "ro") return QKJIT_CACHE_READ_ONLY;
  if (value == "off") return QKJIT_CACHE_OFF;
  return fail(Code::invalid_argument, "QKJIT_CACHE={} is unknown: use rw, ro or off", value);
}

/// The user's directory and those of the path, as the mode allows; with a warning for each that
/// cannot be used.
void add_directories(JitOptions& jit, qkjit_cache_mode mode, const std::string& directory,
                     std::vector<ReadOnlyDirectory> path, std::uint64_t max_bytes, Log& log) {
  if (mode == QKJIT_CACHE_OFF) {
    jit.why_not_writable = "the cache is turned off";
    return;
  }
  if (has_elevated_rights()) {
    jit.why_not_writable =
        "this process has more rights than the user who started it, and uses no cache";
    log.warn_once("cache", "kernels stay in memory: {}", jit.why_not_writable);
    return;
  }
  for (const ReadOnlyDirectory& layer : path) {
    // Signatures are looked at when something is looked up there, which says what is wrong.
    const auto usable = layer.needs_signature() ? Result<void>{} : layer.check_usable();
    if (!usable) {
      log.warn("QKJIT_CACHE_PATH: {}", usable.error().message);
    } else if (::access(layer.path().c_str(), R_OK | X_OK) != 0) {
      log.warn("QKJIT_CACHE_PATH names {}, which cannot be read: nothing is found there",
               layer.name());
    }
  }
  jit.read_only = std::move(path);
  if (directory.empty()) {
    jit.why_not_writable = "there is no QKJIT_CACHE_DIR, XDG_CACHE_HOME or HOME to keep kernels in";
    log.warn_once("cache", "kernels stay in memory: {}", jit.why_not_writable);
    return;
  }
  // Absolute, so that a later chdir() of the host does not move the cache.
  CacheDirectory own(std::filesystem::absolute(directory), max_bytes);
  if (auto usable = own.check_usable(); !usable) {
    log.warn_once("cache", "kernels stay in memory: {}", usable.error().message);
  }
  if (mode == QKJIT_CACHE_READ_ONLY) {
    jit.why_not_writable = "the cache is read-only";
    jit.read_only.insert(jit.read_only.begin(), std::move(own));
  } else {
    jit.writable = std::move(own);
  }
}

}  // namespace

Result<std::uint64_t> parse_size(std::string_view text) {
  if (text == "unlimited") return kNoSizeLimit;
  constexpr std::string_view kUnits = "KMGT";
  std::uint64_t number = 0;
  const auto [rest, error] = std::from_chars(text.begin(), text.end(), number);
  const std::string_view unit(rest, text.end());
  const std::size_t power = unit.empty() ? 0 : kUnits.find(unit) + 1;
  const bool is_known = unit.empty() || (unit.size() == 1 && power > 0);
  const unsigned shift = static_cast<unsigned>(10 * power);
  if (error == std::errc() && is_known && number > 0 && number <= kNoSizeLimit >> shift) {
    return number << shift;
  }
  return fail(Code::invalid_argument,
              "'{}' is no size: use a number of bytes, or one with K, M, G or T (of 1024), or "
              "unlimited",
              text);
}

Result<std::uint64_t> cache_max_bytes(std::uint64_t option) {
  if (option != 0) return option;
  const std::string value = environment("QKJIT_CACHE_MAX_SIZE");
  if (value.empty()) return std::uint64_t{512} << 20;
  const auto size = parse_size(value);
  if (size) return size;
  return fail(size.error().code, "QKJIT_CACHE_MAX_SIZE: {}", size.error().message);
}

std::string default_cache_directory() {
  if (const std::string directory = environment("QKJIT_CACHE_DIR"); !directory.empty())
    return directory;
  if (const std::string xdg = environment("XDG_CACHE_HOME"); !xdg.empty()) return xdg + "/qkjit";
  if (const std::string home = environment("HOME"); !home.empty()) return home + "/.cache/qkjit";
  return {};
}

Result<std::optional<PublicKey>> cache_public_key(const char* option) {
  const bool is_given = option && *option;
  const std::string text = option_or(option, "QKJIT_CACHE_PUBLIC_KEY");
  if (text.empty()) return std::nullopt;
  const auto key = parse_public_key(text);
  if (key) return *key;
  return fail(key.error().code, "{}: {}", is_given ? "cache_public_key" : "QKJIT_CACHE_PUBLIC_KEY",
              key.error().message);
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
  if (options.compile_threads < 0) {
    return fail(Code::invalid_argument,
                "compile_threads is {}: use 0 for the default, or a positive number",
                options.compile_threads);
  }
  const auto policy = compile_policy(number_in(options.compile));
  if (!policy) return tl::unexpected(policy.error());
  const auto mode = cache_mode(number_in(options.cache));
  if (!mode) return tl::unexpected(mode.error());
  const auto max_bytes = cache_max_bytes(options.cache_max_bytes);
  if (!max_bytes) return tl::unexpected(max_bytes.error());
  const auto public_key = cache_public_key(options.cache_public_key);
  if (!public_key) return tl::unexpected(public_key.error());
  auto log = Log::create(options.log, options.log_user_data, environment("QKJIT_LOG"));
  if (!log) return tl::unexpected(log.error());

  RuntimeOptions resolved;
  resolved.log = std::move(*log);
  resolved.strict = options.strict != 0;
  resolved.cpu_threads = options.cpu_threads;
  resolved.jit.compile = *policy;
  resolved.jit.background_threads = background_threads(options.compile_threads);
  const std::string given = options.cache_dir ? options.cache_dir : "";
  add_directories(resolved.jit, *mode, given.empty() ? default_cache_directory() : given,
                  split_path(option_or(options.cache_path, "QKJIT_CACHE_PATH"), *public_key),
                  *max_bytes, *resolved.log);
  const std::string library = option_or(options.nvrtc, "QKJIT_NVRTC");
  resolved.jit.open_compiler = [library] { return Nvrtc::open(library); };
  resolved.jit.find_compiler = [library] { return Nvrtc::find(library); };
  return resolved;
}

}  // namespace qkjit
