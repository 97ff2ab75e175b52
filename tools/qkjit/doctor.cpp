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
Finding examine_cache() {
  std::filesystem::path path = default_cache_directory();
  if (path.empty()) return {"cache", false, "set QKJIT_CACHE_DIR, XDG_CACHE_HOME or HOME"};
  const std::string wanted = path.string();
  std::error_code ignored;
  while (!std::filesystem::exists(path, ignored) && path.has_parent_path() &&
         path != path.root_path()) {
    path = path.parent_path();
  }
  const bool writable = access(path.c_str(), W_OK | X_OK) == 0;
  const std::size_t entries = CacheDirectory(wanted).list().size();
  return {"cache", writable,
          fmt::format("{}, {} entries{}", wanted, entries, writable ? "" : ", not writable")};
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
  const Finding driver = examine_driver(), nvrtc = examine_compiler((*runtime)->jit()),
                cache = examine_cache();
  const std::string text = verdict(driver.good, nvrtc.good, cache.good);
  nlohmann::json document = {
      {"schema", "qkjit.doctor/1"}, {"version", qkjit_version()}, {"verdict", text}};
  console.print(fmt::format("qkjit {}", qkjit_version()));
  for (const Finding& finding : {driver, nvrtc, cache}) {
    document[finding.name] = {{"good", finding.good}, {"text", finding.text}};
    console.print(fmt::format("{:<8} {}  {}", finding.name,
                              finding.good ? console.good("ok") : console.bad("--"), finding.text));
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
