// A libcuda.so.1 without a GPU: one device of capability 9.0, on which every pointer is device
// memory and every launch is noted and does nothing. A program linked with it gets it in place of a
// real one, since it has that one's soname.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

namespace qkjit::test {

struct FakeLaunch {
  std::string code;   ///< the image that the kernel was loaded from
  std::string entry;  ///< its name in there
  unsigned threads;   ///< of a block
  /// Of the first two angles, where the kernel has a second argument: its name ends so.
  std::vector<std::uint64_t> frequencies;
};

/// What the fake has seen, and how it behaves. One for the process; reset() it before a test.
struct FakeCuda {
  std::atomic<int> loads{0};           ///< images that were asked to be loaded
  std::atomic<int> loaded{0};          ///< that now are
  std::atomic<int> loads_to_fail{0};   ///< so many next loads fail for want of memory
  std::atomic<bool> capturing{false};  ///< every stream
  std::string refused;                 ///< images with this text are invalid, if it is not empty

  std::mutex mutex;  ///< guards what follows
  std::vector<FakeLaunch> launches;

  void reset();
  FakeLaunch last_launch();
};

FakeCuda& fake_cuda();

}  // namespace qkjit::test
