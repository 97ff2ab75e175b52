// What happened to requests for kernels, and how long it took.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

namespace qkjit {

/// A sum of times, of all threads.
class TimeSum {
 public:
  void add(std::chrono::nanoseconds time) {
    nanoseconds_.fetch_add(static_cast<std::uint64_t>(time.count()), std::memory_order_relaxed);
  }
  double milliseconds() const { return static_cast<double>(nanoseconds_.load()) / 1e6; }

 private:
  std::atomic<std::uint64_t> nanoseconds_{0};
};

/// Adds the time of its life.
class Timed {
 public:
  explicit Timed(TimeSum& sum) : sum_(sum) {}
  Timed(const Timed&) = delete;
  Timed& operator=(const Timed&) = delete;
  ~Timed() { sum_.add(std::chrono::steady_clock::now() - start_); }

 private:
  TimeSum& sum_;
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

/// A request ends as one of memory_hits, writable_hits, read_only_hits, further_hits and misses.
struct JitCounters {
  std::atomic<std::uint64_t> requests{0}, memory_hits{0}, writable_hits{0}, read_only_hits{0},
      further_hits{0}, misses{0};
  std::atomic<std::uint64_t> lock_waits{0}, compiled{0}, cache_rejected{0}, failed{0};
  TimeSum cache_read, compile, front_end;

  std::uint64_t cache_hits() const { return writable_hits + read_only_hits + further_hits; }
};

}  // namespace qkjit
