// The runtime joins the parts: it checks a call, chooses its path and runs it.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "cuda/driver.hpp"
#include "device_pages.hpp"
#include "jit/jit.hpp"
#include "loader.hpp"
#include "op/dual.hpp"
#include "op/geometry.hpp"
#include "spec/path.hpp"
#include "util/fork.hpp"
#include "util/log.hpp"

namespace qkjit {

/// The settings of a runtime after options, environment and defaults have been merged.
struct RuntimeOptions {
  JitOptions jit;
  std::shared_ptr<Log> log;
  bool strict = false;
  int cpu_threads = 0;
};

struct Stats {
  std::array<std::uint64_t, 4> paths;  ///< by Path
  std::array<std::uint64_t, kReasonCount> reasons;
  std::uint64_t compiled, cache_hits, cache_rejected, failed;
  std::uint64_t requests, memory_hits, writable_hits, read_only_hits, further_hits, misses;
  std::uint64_t lock_waits, background_pending, background_done;
  double cache_read_ms, compile_ms, front_end_ms, load_ms;  ///< sums over all threads
};

/// The cache directories that can be trusted with tuning tables, of which a signed manifest says
/// nothing.
std::vector<std::filesystem::path> tuning_directories(const JitOptions& options);

/// Thread-safe: any method from any thread. Launching a prepared spec takes no lock.
class Runtime {
 public:
  explicit Runtime(RuntimeOptions options);

  /// Compiles or finds the fused kernels and loads them on the current device, and the generic one
  /// that serves the spec's other calls.
  Result<void> prepare(const Spec& spec);
  /// Fills the cache for `target`; needs no GPU. A spec without a fused kernel needs nothing.
  Result<void> prepare_for(const Spec& spec, const std::string& target);
  /// The fused kernel's code for `target` ("sm_90"), in its first choice of variant or in the one
  /// given; needs no GPU.
  Result<std::shared_ptr<const Kernel>> compile(const Spec& spec, const std::string& target);
  Result<std::shared_ptr<const Kernel>> compile(const Spec& spec, const Variant& variant,
                                                const std::string& target);

  /// The same for launches of two streams.
  Result<void> prepare_dual(const Spec& first, const Spec& second);
  Result<void> prepare_dual_for(const Spec& first, const Spec& second, const std::string& target);

  /// Normalises and rotates in host memory.
  Result<Dispatch> launch_on_host(const qkjit_args& args);
  /// The same in device memory, in stream order.
  Result<Dispatch> launch(const qkjit_args& args, Stream stream);

  /// Both calls, which may not touch each other's outputs.
  Result<Dispatch> launch_dual_on_host(const qkjit_args& first, const qkjit_args& second);
  /// The same in device memory: in one launch, or else one after the other.
  Result<Dispatch> launch_dual(const qkjit_args& first, const qkjit_args& second, Stream stream);

  /// The fused kernel that launch() takes for the call on the current device, loaded; `op` is one
  /// that the fused path serves.
  Result<FusedKernel> chosen_kernel(const Operation& op);

  /// Until nothing is compiled or queued in the background; Code::not_ready after `limit`.
  Result<void> wait_idle(std::optional<std::chrono::milliseconds> limit);

  Stats stats() const;
  Jit& jit() { return jit_; }
  const std::shared_ptr<Log>& log() const { return options_.log; }

 private:
  /// A launch that is all but made.
  struct Planned {
    const LoadedKernel* kernel;
    std::variant<FusedLaunch, GenericLaunch> launch;
    Dispatch dispatch;
    bool is_stand_in;
  };

  Result<const Driver*> driver();
  Result<Dispatch> launch_ready(const Driver& driver, const LoadedKernel& kernel,
                                const FusedLaunch& launch, Stream stream);
  Result<void> check_memory(const Driver& driver, const Operation& op);
  Result<void> check_host_memory(const Operation& op);
  Dispatch run_on_host(const Operation& op);
  Result<Planned> plan(const Driver& driver, const Operation& op, int device, Stream stream,
                       IfMissing missing);
  Result<Planned> plan_generic(const Driver& driver, const Operation& op, int device, Stream stream,
                               Reason reason, const std::string& detail = {});
  Result<Dispatch> run(const Driver& driver, const Planned& planned, Stream stream);
  tl::expected<FusedKernel, NoKernel> dual_kernel(const Driver& driver, const Operation& first,
                                                  const Operation& second, int device,
                                                  Stream stream);
  Result<Dispatch> launch_both(const Driver& driver, const Operation& first,
                               const Operation& second, int device, Stream stream,
                               const NoKernel& why);
  /// Counts a launch; a reason is logged by the caller when it is counted first.
  Dispatch count(Dispatch dispatch);

  /// Of this runtime in this process: what a parent's launches were ready for is not in a child.
  std::uint64_t number() const { return number_ + (std::uint64_t{fork_generation()} << 40); }
  IfMissing if_missing() const;

  const std::uint64_t number_;  // of this runtime in all processes of its family, from 1
  RuntimeOptions options_;
  Jit jit_;

  std::once_flag driver_opened_;
  Result<std::shared_ptr<const Driver>> driver_;
  std::atomic<const Driver*> open_driver_{nullptr};  // once it is open

  Loader loader_;
  DevicePages device_pages_;

  std::array<std::atomic<std::uint64_t>, 4> path_counts_{};
  std::array<std::atomic<std::uint64_t>, kReasonCount> reason_counts_{};
};

}  // namespace qkjit
