// Calls that were checked before. An engine makes the same calls again and again, with the same
// buffers for the same layer; comparing their arguments costs a tenth of checking them.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <vector>

#include "cuda/driver.hpp"
#include "op/dual.hpp"
#include "op/geometry.hpp"
#include "qkjit/qkjit.h"

namespace qkjit {

/// A launch that took the fused path, for the arguments of each of its streams; ready to be made
/// again.
template <std::size_t kStreams, class Launch>
struct ReadyLaunch {
  std::uint64_t runtime = 0;  ///< number of the runtime that checked it; 0: empty
  int device = 0;
  std::array<qkjit_args, kStreams> args;
  const LoadedKernel* kernel = nullptr;
  Launch launch;
};

/// Each thread has its own, so nothing is shared and nothing is locked. A call displaces another
/// that falls on its place. Memory that was freed and given to something else under the same
/// addresses is not noticed: as far as arguments tell, it is the same call.
template <std::size_t kStreams, class Launch>
class LaunchCache {
 public:
  using Ready = ReadyLaunch<kStreams, Launch>;
  using Arguments = std::array<const qkjit_args*, kStreams>;

  /// This thread's, made at its first such launch.
  static LaunchCache& of_this_thread() {
    thread_local LaunchCache cache;
    return cache;
  }

  /// Null too for arguments of another size than this library's.
  const Ready* find(std::uint64_t runtime, int device, const Arguments& args) const {
    for (const qkjit_args* each : args) {
      if (each->struct_size != sizeof(*each)) return nullptr;
    }
    const Ready& call = calls_[place_of(args)];
    bool same = call.runtime == runtime && call.device == device;
    for (std::size_t i = 0; i < kStreams && same; ++i) {
      same = std::memcmp(&call.args[i], args[i], sizeof(qkjit_args)) == 0;
    }
    return same ? &call : nullptr;
  }
  /// `kernel` must live as long as the runtime.
  void keep(std::uint64_t runtime, int device, const Arguments& args, const LoadedKernel& kernel,
            const Launch& launch) {
    Ready& call = calls_[place_of(args)];
    call.runtime = runtime, call.device = device, call.kernel = &kernel, call.launch = launch;
    for (std::size_t i = 0; i < kStreams; ++i) {
      std::memcpy(&call.args[i], args[i], sizeof(qkjit_args));  // padding too: it is compared
    }
  }

 private:
  static constexpr std::size_t kCalls = 128 / kStreams;  // some 320 KB a thread

  LaunchCache() : calls_(kCalls) {}

  static std::size_t place_of(const Arguments& args) {
    constexpr std::uint64_t kGolden = 0x9e3779b97f4a7c15;  // spreads what differs in few bits
    std::uint64_t mixed = 0;
    for (const qkjit_args* each : args) {
      for (const qkjit_tensor* tensor : {&each->q, &each->k}) {  // either may be absent
        mixed = mixed * kGolden + reinterpret_cast<std::uintptr_t>(tensor->data);
        mixed = mixed * kGolden + static_cast<std::uint64_t>(tensor->shape[0] + tensor->shape[1]);
      }
      mixed = mixed * kGolden + reinterpret_cast<std::uintptr_t>(each->q_weight.data);
    }
    return (mixed * kGolden >> 32) % kCalls;
  }

  std::vector<Ready> calls_;
};

using CallCache = LaunchCache<1, FusedLaunch>;
using DualCallCache = LaunchCache<2, DualLaunch>;
using ReadyCall = CallCache::Ready;

}  // namespace qkjit
