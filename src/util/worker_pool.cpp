#include "util/worker_pool.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <system_error>

namespace qkjit {
namespace {

thread_local const WorkerPool* worker_of = nullptr;

/// All pools of the process. Never destroyed, since exit() needs it.
struct Pools {
  ForkMutex mutex;
  std::vector<WorkerPool*> all;

  static Pools& get() {
    static Pools& pools = *new Pools;
    return pools;
  }

  bool any_is_running() {
    const std::lock_guard lock(mutex);
    bool running = false;
    for (WorkerPool* pool : all) running |= pool->stop_and_look();
    return running;
  }
};

/// Looks again and again rather than hold a pool: another thread may destroy it meanwhile.
void stop_at_exit() {
  while (Pools::get().any_is_running()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

/// exit() destroys the thread_local objects of its thread before all that was registered, however
/// late: so the main thread, from which most programs exit, waits here already. If it ends by
/// pthread_exit(), pools end too.
struct MainThreadEnd {
  ~MainThreadEnd() {
    if (::gettid() == ::getpid()) stop_at_exit();
  }
};

void expect_end_of_this_thread() {
  thread_local const MainThreadEnd end;
  static_cast<void>(end);
}

}  // namespace

void WorkerPool::expect_exit() {
  std::atexit(stop_at_exit);  // without memory for it, exit() does not wait
}

WorkerPool::WorkerPool(unsigned most_threads) : most_threads_(most_threads) {
  expect_end_of_this_thread();
  Pools& pools = Pools::get();  // whose mutex comes before a pool's, here and for fork()
  join();
  const std::lock_guard lock(pools.mutex);
  pools.all.push_back(this);
}

WorkerPool::~WorkerPool() {
  stop();
  {
    const std::lock_guard lock(Pools::get().mutex);
    std::erase(Pools::get().all, this);
  }
  {
    const std::lock_guard lock(mutex_);
    stop_ = std::stop_source(std::nostopstate);
  }
  work_.notify_all();
  for (std::thread& thread : threads_) thread.join();
  leave();
}

void WorkerPool::submit(Job job) {
  expect_end_of_this_thread();
  {
    const std::lock_guard lock(mutex_);
    if (stop_.stop_requested()) return;
    queue_.push_back(std::move(job));
    try {
      const bool all_are_busy = running_ + queue_.size() > threads_.size();
      if (all_are_busy && threads_.size() < most_threads_) {
        threads_.emplace_back([this] { work(); });
      }
    } catch (const std::system_error&) {
      if (!threads_.empty()) return;
      job = std::move(queue_.back());
      queue_.pop_back();
    }
  }
  if (job) return job(stop_.get_token());
  work_.notify_one();
}

/// A thread ends with the pool, when nothing is left that could be stopped, and not at exit: there
/// it sleeps, as nobody would join it.
void WorkerPool::work() {
  worker_of = this;
  std::unique_lock lock(mutex_);
  for (;;) {
    work_.wait(lock, [&] { return !queue_.empty() || !stop_.stop_possible(); });
    if (queue_.empty()) return;
    Job job = std::move(queue_.front());
    queue_.pop_front();
    ++running_;
    lock.unlock();
    job(stop_.get_token());
    job = {};  // what it holds goes before it counts as done
    lock.lock();
    --running_, ++done_;
    idle_.notify_all();
  }
}

bool WorkerPool::wait_idle(std::optional<std::chrono::milliseconds> limit) {
  std::unique_lock lock(mutex_);
  const auto is_idle = [&] { return queue_.empty() && running_ == 0; };
  if (limit) return idle_.wait_for(lock, *limit, is_idle);
  idle_.wait(lock, is_idle);
  return true;
}

void WorkerPool::drop_jobs() {
  stop_.request_stop();
  queue_.clear();
}

/// Running ones, without the caller's own.
std::uint64_t WorkerPool::jobs_of_others() const { return running_ - (worker_of == this ? 1 : 0); }

void WorkerPool::stop() {
  std::unique_lock lock(mutex_);
  drop_jobs();
  idle_.notify_all();  // those that wait for an empty queue
  idle_.wait(lock, [&] { return jobs_of_others() == 0; });
}

bool WorkerPool::stop_and_look() {
  const std::lock_guard lock(mutex_);
  drop_jobs();
  return jobs_of_others() > 0;
}

WorkerPool::Counts WorkerPool::counts() const {
  const std::lock_guard lock(mutex_);
  return {queue_.size() + running_, done_};
}

/// Nobody waits here in the child, and no thread can be joined: what says otherwise is replaced
/// without being destroyed.
void WorkerPool::after_fork_in_child() {
  std::construct_at(&work_);
  std::construct_at(&idle_);
  for (std::thread& thread : threads_) std::construct_at(&thread);
  threads_.clear();
  queue_.clear();
  running_ = 0;
  mutex_.unlock();
}

}  // namespace qkjit
