// What this process is in the middle of compiling, for a child that is forked then.
#pragma once

#include <atomic>

#include "util/fork.hpp"

namespace qkjit {

/// A compile, or the opening of a compiler, while it lives.
class Compiling {
 public:
  Compiling() { process().running.fetch_add(1); }
  Compiling(const Compiling&) = delete;
  Compiling& operator=(const Compiling&) = delete;
  ~Compiling() { process().running.fetch_sub(1); }

  /// Whether this process was forked in the middle of one: then a lock inside the compiler may be
  /// held by a thread that is not here.
  static bool was_cut_off() { return process().was_cut_off.load(std::memory_order_relaxed); }

 private:
  struct Process final : ForkListener {
    std::atomic<int> running{0};
    std::atomic<bool> was_cut_off{false};

    Process() { join(); }
    ~Process() { leave(); }
    void after_fork_in_child() override {
      if (running.exchange(0) > 0) was_cut_off = true;
    }
  };
  static Process& process();
};

}  // namespace qkjit
