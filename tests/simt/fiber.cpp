// Fibers. ucontext enters a new stack; later switches use the compiler's own setjmp, because
// swapcontext makes a system call, and because ASan intercepts both swapcontext and longjmp and
// then forgets every redzone on the stack. (clang has these builtins on x86-64, GCC everywhere.)
#include "tests/simt/fiber.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "tests/simt/sanitizers.hpp"

#if QKJIT_SIMT_ASAN
#include <sanitizer/common_interface_defs.h>
#endif

namespace qkjit::simt {
namespace {

// Address space only: pages are committed when touched. Roomy, so that ASan can print a report.
constexpr std::size_t kStackSize = 256 * 1024;

Fiber* switched_from = nullptr;
Fiber* switched_to = nullptr;

void* new_stack() {
  const std::size_t guard = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  void* memory = mmap(nullptr, guard + kStackSize, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED || mprotect(memory, guard, PROT_NONE) != 0) {
    std::perror("simt: cannot map the stack of a fiber");
    std::abort();
  }
  return static_cast<std::byte*>(memory) + guard;
}

// Apart from jump(): the compiler wants setjmp and longjmp in different functions. Unsanitized, so
// that no __asan_handle_no_return is put in front of the jump.
[[noreturn]] __attribute__((noinline, no_sanitize("address"))) void restore(void** registers) {
  __builtin_longjmp(registers, 1);
}

}  // namespace

Fiber::Fiber(void (*entry)())
    : entry_(entry), entered_(false), stack_(new_stack()), stack_size_(kStackSize) {
  getcontext(&first_entry_);
  first_entry_.uc_stack.ss_sp = const_cast<void*>(stack_);
  first_entry_.uc_stack.ss_size = stack_size_;
  first_entry_.uc_link = nullptr;
  makecontext(&first_entry_, &Fiber::start, 0);
}

void Fiber::start() {
  Fiber& self = *switched_to;
  self.arrive();
  self.entry_();
  std::abort();
}

__attribute__((noinline, no_sanitize("address"))) void Fiber::jump(Fiber& from, Fiber& to) {
  if (__builtin_setjmp(from.registers_)) return;
  if (to.entered_) restore(to.registers_);
  to.entered_ = true;
  setcontext(&to.first_entry_);
  std::abort();
}

void Fiber::switch_to(Fiber& from, Fiber& to) {
#if QKJIT_SIMT_ASAN
  __sanitizer_start_switch_fiber(&from.fake_stack_, to.stack_, to.stack_size_);
#endif
  switched_from = &from;
  switched_to = &to;
  jump(from, to);
  from.arrive();
}

// ASan reports the bounds of the stack just left, which is how those of a thread's own stack get
// known.
void Fiber::arrive() {
#if QKJIT_SIMT_ASAN
  __sanitizer_finish_switch_fiber(fake_stack_, &switched_from->stack_, &switched_from->stack_size_);
#endif
}

}  // namespace qkjit::simt
