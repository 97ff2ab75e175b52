#include "tools/qkjit/bench/start_up.hpp"

#include <array>

#include "op/check.hpp"
#include "tools/qkjit/bench/child.hpp"
#include "tools/qkjit/bench/device_call.hpp"
#include "tools/qkjit/bench/first_call.hpp"
#include "tools/qkjit/bench/statistics.hpp"
#include "tools/qkjit/bench/stopwatch.hpp"

namespace qkjit::bench {
namespace {

constexpr std::string_view kTargetPrefix = "sm_";

/// The fields of StartUp in their order.
Result<std::vector<double>> start_up(const Case& wanted, const std::string& target,
                                     const TemporaryCache& cache) {
  Stopwatch watch;
  std::vector<double> laps;
  const auto driver = Driver::open();
  if (!driver) return tl::unexpected(driver.error());
  const auto gpu = Workspace::create(*driver);
  if (!gpu) return tl::unexpected(gpu.error());
  const auto call = make_device_call(*gpu, wanted);
  if (!call) return tl::unexpected(call.error());
  const auto op = check_args(call->args);
  if (!op) return tl::unexpected(op.error());
  laps.push_back(watch.lap_ms());

  const auto runtime = cache.runtime();
  if (!runtime) return tl::unexpected(runtime.error());
  laps.push_back(watch.lap_ms());
  const auto kernel = (*runtime)->compile(wanted.spec, target);
  if (!kernel) return tl::unexpected(kernel.error());
  laps.push_back(watch.lap_ms());
  const auto loaded = (*runtime)->chosen_kernel(*op);
  if (!loaded) return tl::unexpected(loaded.error());
  laps.push_back(watch.lap_ms());
  const auto launched = (*runtime)->launch(call->args, gpu->stream());
  if (!launched) return tl::unexpected(launched.error());
  if (auto done = gpu->synchronize(); !done) return tl::unexpected(done.error());
  laps.push_back(watch.lap_ms());
  return laps;
}

}  // namespace

Result<StartUp> measure_start_up(const Case& wanted, const std::string& target,
                                 const TemporaryCache& cache) {
  std::array<std::vector<double>, 5> phases;
  for (int i = 0; i < kProcesses; ++i) {
    const auto laps = in_child([&] { return start_up(wanted, target, cache); });
    if (!laps) return tl::unexpected(laps.error());
    for (std::size_t phase = 0; phase < phases.size(); ++phase) {
      phases[phase].push_back(laps->at(phase));
    }
  }
  return StartUp{median(phases[0]), median(phases[1]), median(phases[2]), median(phases[3]),
                 median(phases[4])};
}

Result<std::string> target_of_gpu() {
  const auto number = in_child([]() -> Result<std::vector<double>> {
    const auto driver = Driver::open();
    if (!driver) return tl::unexpected(driver.error());
    const auto target = (*driver)->target(0);
    if (!target) return tl::unexpected(target.error());
    return std::vector<double>{std::stod(target->substr(kTargetPrefix.size()))};
  });
  if (!number) return tl::unexpected(number.error());
  return fmt::format("{}{:.0f}", kTargetPrefix, number->front());
}

}  // namespace qkjit::bench
