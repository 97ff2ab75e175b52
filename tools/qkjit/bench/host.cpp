#include "tools/qkjit/bench/host.hpp"

#include <optional>

#include "spec/text.hpp"
#include "tools/qkjit/bench/bench_report.hpp"
#include "tools/qkjit/bench/first_call.hpp"
#include "tools/qkjit/bench/launch_cost.hpp"
#include "tools/qkjit/bench/lookup.hpp"
#include "tools/qkjit/bench/start_up.hpp"

namespace qkjit::bench {
namespace {

constexpr const char* kUsualSpec = "head_dim=128,rope_dim=128,layout=interleaved,dtype=bf16";
constexpr std::int64_t kFewTokens = 19;  // so few that the GPU is done before the host's next call

struct HostReport {
  std::string spec, target;
  FirstCall first_call;
  double lookup = 0;                ///< nanoseconds
  std::optional<StartUp> start_up;  ///< none without a GPU, as is the next
  std::optional<LaunchCost> launch;
};

Result<Case> host_case(Selection selection) {
  if (selection.spec.empty()) selection.spec = kUsualSpec;
  if (selection.tokens == 0) selection.tokens = kFewTokens;
  const auto cases = select_cases(selection);
  if (!cases) return tl::unexpected(cases.error());
  return cases->front();
}

/// Child processes first: they need a parent that has not initialised CUDA.
Result<HostReport> measure(const Console& console, const Case& wanted, const std::string& target) {
  const auto gpu_target = target_of_gpu();
  if (!gpu_target && target.empty()) {
    return fail(gpu_target.error().code,
                "{}; without a GPU, --target sm_90 measures the first call alone",
                gpu_target.error().message);
  }
  HostReport report{to_text(wanted.spec), target.empty() ? *gpu_target : target, {}, 0, {}, {}};
  const auto cache = TemporaryCache::create();
  if (!cache) return tl::unexpected(cache.error());
  const auto first_call = measure_first_call(wanted.spec, report.target, *cache);
  if (!first_call) return tl::unexpected(first_call.error());
  report.first_call = *first_call;
  report.lookup = measure_lookup();
  if (!gpu_target) {
    console.note("no GPU: launches and start-up are not measured");
    return report;
  }
  const auto start_up = measure_start_up(wanted, *gpu_target, *cache);
  if (!start_up) return tl::unexpected(start_up.error());
  report.start_up = *start_up;
  const auto launch = measure_launch_cost(console, wanted);
  if (!launch) return tl::unexpected(launch.error());
  report.launch = *launch;
  return report;
}

std::string first_call_text(const FirstCall& call) {
  return table_text({{"first call, ms", "", ""},
                     {"empty kernel", fmt::format("{:.2f}", call.empty), ""},
                     {"kernel", fmt::format("{:.2f}", call.compile),
                      fmt::format("{:.2f} x empty", call.compile / call.empty)},
                     {"cold cache", fmt::format("{:.2f}", call.cold), "kept on disk"},
                     {"warm cache", fmt::format("{:.2f}", call.warm), ""}});
}

std::string start_up_text(const StartUp& s) {
  return table_text({{"start-up with a warm cache, ms", ""},
                     {"runtime", fmt::format("{:.3f}", s.runtime)},
                     {"cache lookup", fmt::format("{:.3f}", s.lookup)},
                     {"load", fmt::format("{:.3f}", s.load)},
                     {"first launch", fmt::format("{:.3f}", s.launch)},
                     {"together", fmt::format("{:.3f}", s.without_driver())},
                     {"not counted: CUDA itself", fmt::format("{:.1f}", s.driver)}});
}

std::string launch_text(const LaunchCost& cost) {
  const auto row = [](const char* name, const CallCost& c) {
    return std::vector<std::string>{name, fmt::format("{:.2f}", c.p50),
                                    fmt::format("{:.2f}", c.p99), fmt::format("{:.2f}", c.batch)};
  };
  return fmt::format(
      "{}\np50 of the library above the driver: {:.2f} us; heap allocations a call: "
      "{:.2f}; the clock's {:.3f} us are subtracted",
      table_text({{"a launch, us", "p50", "p99", "in batches"},
                  row("qkjit_launch", cost.library),
                  row("cuLaunchKernelEx", cost.raw)}),
      cost.library.p50 - cost.raw.p50, cost.allocations, cost.clock);
}

nlohmann::json to_json(const CallCost& cost) {
  return {{"p50_us", cost.p50}, {"p99_us", cost.p99}, {"batch_us", cost.batch}};
}

nlohmann::json to_json(const HostReport& report) {
  const FirstCall& first = report.first_call;
  nlohmann::json document = {{"schema", "qkjit.bench.host/1"},
                             {"date", utc_date()},
                             {"command", command_line()},
                             {"spec", report.spec},
                             {"target", report.target},
                             {"processes", kProcesses},
                             {"first_call",
                              {{"empty_ms", first.empty},
                               {"compile_ms", first.compile},
                               {"cold_ms", first.cold},
                               {"warm_ms", first.warm},
                               {"compile_over_empty", first.compile / first.empty}}},
                             {"lookup_ns", report.lookup},
                             {"start_up", nullptr},
                             {"launch", nullptr}};
  if (const auto& s = report.start_up) {
    document["start_up"] = {{"driver_ms", s->driver}, {"runtime_ms", s->runtime},
                            {"lookup_ms", s->lookup}, {"load_ms", s->load},
                            {"launch_ms", s->launch}, {"without_driver_ms", s->without_driver()}};
  }
  if (const auto& launch = report.launch) {
    document["device"] = launch->device;
    document["driver"] = launch->driver;
    document["launch"] = {{"library", to_json(launch->library)},
                          {"raw", to_json(launch->raw)},
                          {"library_above_raw_p50_us", launch->library.p50 - launch->raw.p50},
                          {"clock_us", launch->clock},
                          {"allocations", launch->allocations}};
  }
  return document;
}

}  // namespace

Exit run_host(const Console& console, const Selection& selection, const std::string& target) {
  const auto wanted = host_case(selection);
  if (!wanted) return report(wanted.error());
  const auto results = measure(console, *wanted, target);
  if (!results) return report(results.error());
  console.print(fmt::format("{} for {}; medians of {} processes\n", results->spec, results->target,
                            kProcesses));
  console.print(first_call_text(results->first_call));
  console.print(fmt::format("\nfinding a kernel in memory, of {} specs: {:.0f} ns", kLookupSpecs,
                            results->lookup));
  if (results->start_up) console.print("\n" + start_up_text(*results->start_up));
  if (results->launch) console.print("\n" + launch_text(*results->launch));
  console.print_json(to_json(*results));
  return Exit::good;
}

}  // namespace qkjit::bench
