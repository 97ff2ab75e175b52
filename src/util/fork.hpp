// What a fork() does to the library. A child has one thread, its parent's memory as it was at that
// moment, and the parent's open files; not its other threads, nor what they were doing.
#pragma once

#include <mutex>

namespace qkjit {

/// How many forks lie between this process and the one that loaded the library. What was made under
/// another number is the parent's: threads, work in progress, all that a driver gave.
unsigned fork_generation() noexcept;

/// How many forks this process has begun.
unsigned forks_begun() noexcept;

/// Told of every fork() between join() and leave(), in the thread that forks; in the order in which
/// they joined. On the heap, or on the stack of a thread that outlives its forks: other threads'
/// stacks are nobody's in a child.
class ForkListener {
 public:
  ForkListener(const ForkListener&) = delete;
  ForkListener& operator=(const ForkListener&) = delete;

  virtual void before_fork() {}
  virtual void after_fork_in_parent() {}
  virtual void after_fork_in_child() {}

 protected:
  ForkListener() = default;
  ~ForkListener() = default;

  /// For the final class's constructor, which is as good as done.
  void join();
  /// For the final class's destructor, before anything of it goes.
  void leave();
};

/// fork() waits until it is free, so that a child finds it free and what it guards whole. Who holds
/// it therefore does so for moments only, takes no other one that joined earlier, calls neither the
/// host nor the system, and makes and destroys no ForkListener.
class ForkMutex final : ForkListener {
 public:
  ForkMutex() { join(); }
  ~ForkMutex() { leave(); }
  void lock() { mutex_.lock(); }
  void unlock() { mutex_.unlock(); }

 private:
  void before_fork() override { lock(); }
  void after_fork_in_parent() override { unlock(); }
  void after_fork_in_child() override { unlock(); }

  std::mutex mutex_;
};

}  // namespace qkjit
