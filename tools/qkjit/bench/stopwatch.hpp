// Elapsed time by the monotonic clock.
#pragma once

#include <chrono>

namespace qkjit::bench {

class Stopwatch {
 public:
  using Clock = std::chrono::steady_clock;

  /// Milliseconds since the last lap, or since the watch was made.
  double lap_ms() {
    const auto now = Clock::now();
    const std::chrono::duration<double, std::milli> elapsed = now - last_;
    last_ = now;
    return elapsed.count();
  }

 private:
  Clock::time_point last_ = Clock::now();
};

}  // namespace qkjit::bench
