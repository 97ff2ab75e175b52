// qkjit doctor: what this machine offers, the verdict, and the next step.
#include <fmt/ranges.h>
#include <unistd.h>

#include <filesystem>

#include "options.hpp"
#include "qkjit/qkjit.h"
#include "tools/qkjit/commands.hpp"
#include "tools/qkjit/session.hpp"

namespace qkjit {
namespace {

struct Finding {
  std::string name;
  bool good;
  std::string text;
};

Finding examine_driver() {
  const auto driver = Driver::open();
  if (!driver) return {"driver", false, driver.error().message};
  const auto count = (*driver)->device_count();
  if (!count) return {"driver", false, count.error().message};
  std::vector<std::string> devices;
  for (int i = 0; i < *count; ++i) {
    devices.push_back(fmt::format("{} ({})", (*driver)->device_name(i).value_or("unnamed"),
                                  (*driver)->target(i).value_or("unknown target")));
  }
  return {"driver", *count > 0,
          fmt::format("CUDA {}, {}", (*driver)->version(), fmt::join(devices, ", "))};
}

Finding examine_compiler(Jit& jit) {
  const auto compiler = jit.compiler();
  if (!compiler) return {"nvrtc", false, compiler.error().message};
  return {"nvrtc", true,
          fmt::format("{} at {}, targets {}", (*compiler)->version(), (*compiler)->path(),
                      fmt::join((*compiler)->targets(), " "))};
}

/// The nearest directory that exists decides whether the cache can be created.
bool can_be_written(std::filesystem::path path) {
  std::error_code ignored;
  while (!std::filesystem::exists(path, ignored) && path.has_parent_path() &&
         path != path.root_path()) {
    path = path.parent_path();
  }
  return access(path.c_str(), W_OK | X_OK) == 0;
}

Finding examine_cache(const JitOptions& options) {
  const std::string wanted = default_cache_directory();
  if (wanted.empty()) return {"cache", false, "set QKJIT_CACHE_DIR, XDG_CACHE_HOME or HOME"};
  const CacheDirectory cache(std::filesystem::absolute(wanted));
  if (auto usable = cache.check_usable(); !usable) {
    return {"cache", false, usable.error().message};
  }
  const bool writable = can_be_written(cache.path());
  const char* const note = !options.writable ? ", nothing is kept: see QKJIT_CACHE"
                           : writable        ? ""
                                             : ", not writable";
  return {"cache", options.writable && writable,
          fmt::format("{}, {} entries{}", cache.name(), cache.list().size(), note)};
}

/// One of QKJIT_CACHE_PATH.
Finding examine_layer(const ReadOnlyDirectory& layer) {
  if (auto usable = layer.check_usable(); !usable) {
    return {"path", false, usable.error().message};
  }
  if (access(layer.path().c_str(), R_OK | X_OK) != 0) {
    return {"path", false, layer.name() + " cannot be read"};
  }
  const auto& bundle = layer.bundle();
  if (!bundle) return {"path", false, bundle.error().message};
  if (layer.needs_signature()) {
    return {"path", true, fmt::format("{}, {} signed entries", layer.name(), bundle->files.size())};
  }
  return {"path", true,
          fmt::format("{}, {} entries{}", layer.name(), layer.list().size(),
                      bundle->files.empty() ? "" : ", with a manifest")};
}

/// Who compiles what is in no cache.
Finding describe_policy(const JitOptions& options) {
  switch (options.compile) {
    case CompilePolicy::block:
      return {"compile", true, "block: the call that needs a kernel waits for it"};
    case CompilePolicy::background:
      return {"compile", true,
              fmt::format("background: {} threads at most, the generic kernel serves meanwhile",
                          options.background_threads)};
    case CompilePolicy::never:
      return {"compile", true, "never: what is in no cache is the generic kernel's"};
  }
  return {"compile", false, "unknown"};
}

std::string verdict(bool driver, bool nvrtc, bool cache) {
  if (!cache && nvrtc)
    return "kernels are compiled in every process; set QKJIT_CACHE_DIR to a writable place";
  if (driver && nvrtc) return "ready: kernels are compiled when first needed and kept";
  if (driver)
    return "only precompiled kernels and the generic one; copy a cache from `qkjit precompile`";
  if (nvrtc) return "no GPU: host memory works, and `qkjit precompile` compiles for other machines";
  return "host memory only; install NVIDIA's driver for a GPU, or libnvrtc to precompile";
}

Exit doctor(const Console& console) {
  const auto runtime = open_runtime(console);
  if (!runtime) return report(runtime.error());
  const JitOptions& options = (*runtime)->jit().options();
  const Finding driver = examine_driver(), nvrtc = examine_compiler((*runtime)->jit()),
                cache = examine_cache(options), policy = describe_policy(options);
  const std::string text = verdict(driver.good, nvrtc.good, cache.good);
  nlohmann::json document = {
      {"schema", "qkjit.doctor/1"}, {"version", qkjit_version()}, {"verdict", text}};
  console.print(fmt::format("qkjit {}", qkjit_version()));
  const auto print = [&](const Finding& finding) -> nlohmann::json {
    console.print(fmt::format("{:<8} {}  {}", finding.name,
                              finding.good ? console.good("ok") : console.bad("--"), finding.text));
    return {{"good", finding.good}, {"text", finding.text}};
  };
  for (const Finding& finding : {driver, nvrtc, cache, policy})
    document[finding.name] = print(finding);
  document["path"] = nlohmann::json::array();
  for (const ReadOnlyDirectory& layer : options.read_only) {
    document["path"].push_back(print(examine_layer(layer)));
  }
  console.print(fmt::format("{:<8} {}", "verdict", console.strong(text)));
  console.print_json(document);
  return driver.good || nvrtc.good ? Exit::good : Exit::environment;
}

}  // namespace

void add_doctor(CLI::App& app, const Console& console, Exit& exit) {
  app.add_subcommand("doctor", "Driver, NVRTC, cache: what works here, and the next step")
      ->callback([&console, &exit] { exit = doctor(console); });
}

}  // namespace qkjit
