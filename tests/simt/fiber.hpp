// A fiber: a stack of its own that is entered and left by hand, annotated so that ASan always knows
// on which stack it is.
//
// Not Boost.Context: Debian's build of it lacks the ASan annotations.
#pragma once

#include <ucontext.h>

#include <cstddef>

namespace qkjit::simt {

/// Lives forever: there is no way to destroy a fiber, so keep it in a pool. Not thread-safe.
class Fiber {
 public:
  /// Stands for the stack that is already running.
  Fiber() = default;

  /// A new stack, with a guard page below it. `entry` runs on it from the first switch on and must
  /// neither return nor throw.
  explicit Fiber(void (*entry)());

  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  /// Suspends `from`, which must be the running fiber, and resumes `to`. Returns when somebody
  /// switches back to `from`.
  static void switch_to(Fiber& from, Fiber& to);

 private:
  static void start();
  static void jump(Fiber& from, Fiber& to);
  void arrive();

  void (*entry_)() = nullptr;
  bool entered_ = true;
  ucontext_t first_entry_;
  void* registers_[5];  // the size that __builtin_setjmp asks for
  const void* stack_ = nullptr;
  std::size_t stack_size_ = 0;
  [[maybe_unused]] void* fake_stack_ = nullptr;  // ASan's, while the fiber is suspended
};

}  // namespace qkjit::simt
