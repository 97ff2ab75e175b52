// Single calls are timed for their distribution, and in turn, library and driver, so that both see
// the same machine: the clock is read between them and its cost subtracted. Batches of equal calls
// are timed as a whole too: there the clock costs nothing and what one call leaves in the caches
// helps the next, as in a loop over layers. Between batches the stream is drained, so that no call
// ever waits for room in its queue.
#include "tools/qkjit/bench/launch_cost.hpp"

#include "tools/qkjit/bench/allocations.hpp"
#include "tools/qkjit/bench/device_call.hpp"
#include "tools/qkjit/bench/raw_launch.hpp"
#include "tools/qkjit/bench/statistics.hpp"
#include "tools/qkjit/bench/stopwatch.hpp"
#include "tools/qkjit/session.hpp"

namespace qkjit::bench {
namespace {

constexpr int kBatches = 200, kWarmUpBatches = 20;
constexpr int kCallsPerBatch = 64;
constexpr int kClockReads = 1001;
constexpr double kMicrosecondsPerMillisecond = 1e3;

using CRuntime = std::unique_ptr<qkjit_runtime, decltype(&qkjit_runtime_destroy)>;

Result<CRuntime> open_c_runtime(const qkjit_spec& spec) {
  qkjit_runtime* runtime = nullptr;
  qkjit_status status = qkjit_runtime_create(nullptr, &runtime);
  CRuntime owner(runtime, qkjit_runtime_destroy);
  if (status == QKJIT_OK) status = qkjit_prepare(runtime, &spec, nullptr);
  if (status != QKJIT_OK) return fail(static_cast<Code>(status), "{}", qkjit_last_error());
  return owner;
}

double clock_cost() {
  std::vector<double> costs;
  Stopwatch watch;
  for (int i = 0; i < kClockReads; ++i) costs.push_back(watch.lap_ms());
  return median(costs) * kMicrosecondsPerMillisecond;
}

/// Times two ways to launch; each gives false when it fails.
template <class Library, class Raw>
class Comparison {
 public:
  Comparison(const Workspace& gpu, Library library, Raw raw)
      : gpu_(gpu), library_(library), raw_(raw) {}

  Result<LaunchCost> run() {
    LaunchCost cost;
    cost.clock = clock_cost();
    for (int batch = -kWarmUpBatches; batch < kBatches; ++batch) {
      const bool keep = batch >= 0;
      if (!sample_in_turn(keep) || !sample_batch(library_, library_batches_, keep) ||
          !sample_batch(raw_, raw_batches_, keep)) {
        return fail(Code::cuda_error, "a launch failed: {}", qkjit_last_error());
      }
    }
    const std::uint64_t before = allocations_on_this_thread();
    bool good = true;
    for (int i = 0; i < kCallsPerBatch; ++i) good = library_() && good;
    cost.allocations = static_cast<double>(allocations_on_this_thread() - before) / kCallsPerBatch;
    if (!good || !gpu_.synchronize()) return fail(Code::cuda_error, "a launch failed");
    cost.library = cost_of(library_calls_, library_batches_, cost.clock);
    cost.raw = cost_of(raw_calls_, raw_batches_, cost.clock);
    return cost;
  }

 private:
  bool sample_in_turn(bool keep) {
    bool good = true;
    Stopwatch watch;
    for (int i = 0; i < kCallsPerBatch / 2; ++i) {
      watch.lap_ms();
      good = library_() && good;
      const double library = watch.lap_ms();
      good = raw_() && good;
      const double raw = watch.lap_ms();
      if (!keep) continue;
      library_calls_.push_back(library);
      raw_calls_.push_back(raw);
    }
    return gpu_.synchronize() && good;
  }

  template <class Call>
  bool sample_batch(Call& call, std::vector<double>& batches, bool keep) {
    bool good = true;
    Stopwatch watch;
    for (int i = 0; i < kCallsPerBatch; ++i) good = call() && good;
    const double elapsed = watch.lap_ms();
    if (keep) batches.push_back(elapsed / kCallsPerBatch);
    return gpu_.synchronize() && good;
  }

  static CallCost cost_of(const std::vector<double>& calls, const std::vector<double>& batches,
                          double clock) {
    return {median(calls) * kMicrosecondsPerMillisecond - clock,
            percentile(calls, 0.99) * kMicrosecondsPerMillisecond - clock,
            median(batches) * kMicrosecondsPerMillisecond};
  }

  const Workspace& gpu_;
  Library library_;
  Raw raw_;
  std::vector<double> library_calls_, raw_calls_, library_batches_, raw_batches_;  // milliseconds
};

}  // namespace

Result<LaunchCost> measure_launch_cost(const Console& console, const Case& wanted) {
  const auto place = find_place("gpu");
  if (!place) return tl::unexpected(place.error());
  const Workspace& gpu = *place->gpu;
  const Driver& driver = *gpu.driver();
  const auto call = make_device_call(gpu, wanted);
  if (!call) return tl::unexpected(call.error());
  const auto library = open_c_runtime(call->args.spec);
  if (!library) return tl::unexpected(library.error());
  const auto runtime = open_runtime(console);
  if (!runtime) return tl::unexpected(runtime.error());
  const auto raw = raw_launch_of(**runtime, call->args);
  if (!raw) return tl::unexpected(raw.error());

  Comparison comparison(
      gpu,
      [&] { return qkjit_launch(library->get(), &call->args, gpu.stream(), nullptr) == QKJIT_OK; },
      [&] {
        return driver
            .launch(raw->kernel, raw->launch.grid, gpu.stream(), &raw->launch.params,
                    raw->launch.frequencies.get())
            .has_value();
      });
  auto cost = comparison.run();
  if (!cost) return cost;
  const auto device = driver.device_name(0);
  if (!device) return tl::unexpected(device.error());
  cost->device = *device;
  cost->driver = driver.version();
  return cost;
}

}  // namespace qkjit::bench
