// A few threads that do jobs in the order in which they come.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <stop_token>
#include <thread>
#include <vector>

#include "util/fork.hpp"

namespace qkjit {

/// Thread-safe. Threads start when jobs come, at most so many as there are jobs.
///
/// It ends by this rule, in its destructor, in stop() and when the process exits: what is queued is
/// dropped, what runs is asked to stop and waited for. At exit that is needed even of a pool that
/// is never destroyed: a library that a job is inside of would be destroyed under it. A forked
/// child has the pool without jobs and threads, and may use it.
class WorkerPool final : ForkListener {
 public:
  /// May not throw. The token says when its result is not wanted any more.
  using Job = std::function<void(std::stop_token)>;

  explicit WorkerPool(unsigned most_threads);
  ~WorkerPool();

  /// Returns at once. Where the system gives no thread at all, the caller does the job.
  void submit(Job job);

  /// Waits until no job is queued or running; false if that takes longer than `limit`, of which
  /// none means no limit.
  bool wait_idle(std::optional<std::chrono::milliseconds> limit);

  /// After it, jobs are dropped. May be called from a job, which it does not wait for.
  void stop();

  struct Counts {
    std::uint64_t pending;  ///< queued or running
    std::uint64_t done;
  };
  Counts counts() const;

  /// For the process's exit: as stop(), but does not wait; whether a job is still running.
  bool stop_and_look();

  /// Makes exit() stop all pools before what was registered until now is destroyed. To be called
  /// again when a library has been loaded that jobs use, for its destructors.
  static void expect_exit();

 private:
  void before_fork() override { mutex_.lock(); }
  void after_fork_in_parent() override { mutex_.unlock(); }
  void after_fork_in_child() override;

  void work();
  void drop_jobs();
  std::uint64_t jobs_of_others() const;

  const unsigned most_threads_;
  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable work_, idle_;
  std::deque<Job> queue_;
  std::vector<std::thread> threads_;
  std::stop_source stop_;
  std::uint64_t running_ = 0, done_ = 0;
};

}  // namespace qkjit
