// The threads of the running block: who runs, who waits for whom, and who runs next.
#pragma once

#include <fmt/format.h>

#include <memory>
#include <string_view>
#include <vector>

#include "tests/simt/fiber.hpp"
#include "tests/simt/simt.hpp"

namespace qkjit::simt {

inline constexpr unsigned kWarp = 32;

/// What a lane brings to a collective of its warp, and what it takes away.
struct Meeting {
  Collective kind;
  unsigned mask;
  unsigned value;
  unsigned source;  ///< lane whose value becomes the result; a vote names its own lane
  unsigned result;
};

struct Thread {
  enum class State { unstarted, runnable, in_warp, in_barrier, exited };

  uint3 index;
  unsigned number;  ///< index, x fastest, as one number
  State state = State::unstarted;
  Fiber* fiber = nullptr;  ///< on which it runs, once started
  Meeting meeting{};       ///< meaningful in state in_warp

  unsigned lane() const { return number % kWarp; }
  unsigned lane_bit() const { return 1u << lane(); }
};

class Block {
 public:
  /// Runs one block of blockDim threads to its end.
  void run(void (*body)(void*), void* argument);

  /// The three below are called by the running thread and return once it may go on.
  unsigned meet(const Meeting& meeting);
  void wait_for_block();
  const Thread& current() const { return *current_; }

  /// Prints the block, the running thread and the message, and aborts.
  [[noreturn]] void fail(std::string_view message) const;

 private:
  struct Warp {
    unsigned live = 0;     ///< lanes that exist and have not exited
    unsigned waiting = 0;  ///< lanes in state in_warp
  };

  static void fiber_main();
  void run_next_thread();
  void exit_thread();
  void suspend();
  void leave_fiber();
  Fiber& next_fiber();
  [[noreturn]] void report_deadlock() const;

  Thread& lane_of(unsigned warp, unsigned lane) { return threads_[warp * kWarp + lane]; }
  bool complete(unsigned warp, unsigned mask);
  void resolve(unsigned warp, unsigned mask);
  void release_barrier();
  void make_runnable(Thread& thread);

  void (*body_)(void*) = nullptr;
  void* argument_ = nullptr;

  std::vector<Thread> threads_;
  std::vector<Warp> warps_;
  unsigned started_ = 0, live_ = 0, in_barrier_ = 0;
  Thread* current_ = nullptr;
  std::vector<Thread*> runnable_;  ///< suspended threads that may go on

  Fiber* own_ = nullptr;      ///< the stack of the caller of run()
  Fiber* running_ = nullptr;  ///< the fiber of the moment
  std::vector<std::unique_ptr<Fiber>> fibers_;
  std::vector<Fiber*> idle_;  ///< fibers without a thread
};

/// The block of this process; launch() admits one caller at a time.
Block& running_block();

const char* name(Collective kind);

}  // namespace qkjit::simt
