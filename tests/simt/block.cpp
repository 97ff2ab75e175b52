// Scheduling of a block. A fiber runs one thread after another and is left only when a thread must
// wait, so threads that never meet cost no switch at all.
#include "tests/simt/block.hpp"

#include <bit>
#include <cstdio>
#include <cstdlib>
#include <string>

namespace qkjit::simt {

void Block::run(void (*body)(void*), void* argument) {
  body_ = body;
  argument_ = argument;
  const unsigned count = blockDim.x * blockDim.y * blockDim.z;
  threads_.assign(count, {});
  warps_.assign((count + kWarp - 1) / kWarp, {});
  unsigned number = 0;
  for (uint3 index{}; index.z < blockDim.z; ++index.z) {
    for (index.y = 0; index.y < blockDim.y; ++index.y) {
      for (index.x = 0; index.x < blockDim.x; ++index.x, ++number) {
        threads_[number].index = index;
        threads_[number].number = number;
        warps_[number / kWarp].live |= threads_[number].lane_bit();
      }
    }
  }
  started_ = 0;
  live_ = count;
  Fiber own;
  own_ = running_ = &own;
  leave_fiber();
}

void Block::fiber_main() {
  Block& block = running_block();
  for (;;) {
    block.run_next_thread();
    block.idle_.push_back(block.running_);
    block.leave_fiber();
  }
}

void Block::run_next_thread() {
  current_ = &threads_[started_++];
  current_->state = Thread::State::runnable;
  current_->fiber = running_;
  threadIdx = current_->index;
  body_(argument_);
  exit_thread();
}

void Block::exit_thread() {
  current_->state = Thread::State::exited;
  --live_;
  const unsigned number = current_->number / kWarp;
  Warp& warp = warps_[number];
  warp.live &= ~current_->lane_bit();
  // Nobody waits for an exited lane: this exit may be what a group or the block was waiting for.
  for (unsigned rest = warp.waiting; rest != 0; rest &= warp.waiting & (rest - 1)) {
    const unsigned lane = static_cast<unsigned>(std::countr_zero(rest));
    const unsigned mask = lane_of(number, lane).meeting.mask;
    if (mask & current_->lane_bit()) complete(number, mask);
  }
  release_barrier();
}

// Lets others run until the running thread may go on.
void Block::suspend() {
  Thread& self = *current_;
  leave_fiber();
  current_ = &self;
  threadIdx = self.index;
}

void Block::leave_fiber() {
  Fiber& self = *running_;
  Fiber& next = next_fiber();
  if (&next == &self) return;
  running_ = &next;
  Fiber::switch_to(self, next);
}

Fiber& Block::next_fiber() {
  if (!runnable_.empty()) {
    Thread* thread = runnable_.back();
    runnable_.pop_back();
    return *thread->fiber;
  }
  if (started_ < threads_.size()) {
    if (idle_.empty()) return *fibers_.emplace_back(std::make_unique<Fiber>(&Block::fiber_main));
    Fiber* fiber = idle_.back();
    idle_.pop_back();
    return *fiber;
  }
  if (live_ == 0) return *own_;
  report_deadlock();
}

void Block::wait_for_block() {
  current_->state = Thread::State::in_barrier;
  ++in_barrier_;
  release_barrier();
  if (current_->state == Thread::State::in_barrier) suspend();
}

void Block::release_barrier() {
  if (in_barrier_ < live_) return;
  in_barrier_ = 0;
  for (Thread& thread : threads_) {
    if (thread.state == Thread::State::in_barrier) make_runnable(thread);
  }
}

void Block::make_runnable(Thread& thread) {
  thread.state = Thread::State::runnable;
  if (&thread != current_) runnable_.push_back(&thread);
}

void Block::fail(std::string_view message) const {
  const uint3 t = current_->index;
  fmt::print(stderr, "simt: block ({}, {}, {}), thread ({}, {}, {}), warp {}, lane {}: {}\n",
             blockIdx.x, blockIdx.y, blockIdx.z, t.x, t.y, t.z, current_->number / kWarp,
             current_->lane(), message);
  std::abort();
}

void Block::report_deadlock() const {
  constexpr unsigned kListed = 40;  // more than a warp
  std::string text = "deadlock: nobody can run, and these wait:";
  unsigned waiting = 0;
  for (const Thread& thread : threads_) {
    if (thread.state == Thread::State::exited || ++waiting > kListed) continue;
    text += fmt::format("\n  warp {}, lane {}: ", thread.number / kWarp, thread.lane());
    text +=
        thread.state == Thread::State::in_barrier
            ? "__syncthreads()"
            : fmt::format("{} with mask {:#010x}", name(thread.meeting.kind), thread.meeting.mask);
  }
  if (waiting > kListed) text += fmt::format("\n  and {} more", waiting - kListed);
  fail(text);
}

}  // namespace qkjit::simt
