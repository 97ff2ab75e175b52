#include "util/fork.hpp"

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <vector>

namespace qkjit {
namespace {

std::atomic<unsigned> generation{0}, begun{0};

/// Never destroyed: objects that live until the process ends leave it later than that.
struct Listeners {
  std::mutex mutex;
  std::vector<ForkListener*> all;

  static Listeners& get() {
    static Listeners& listeners = *new Listeners;
    return listeners;
  }
};

void prepare() {
  ++begun;
  Listeners::get().mutex.lock();
  for (ForkListener* one : Listeners::get().all) one->before_fork();
}

void in_parent() {
  for (ForkListener* one : Listeners::get().all) one->after_fork_in_parent();
  Listeners::get().mutex.unlock();
}

void in_child() {
  ++generation;
  for (ForkListener* one : Listeners::get().all) one->after_fork_in_child();
  Listeners::get().mutex.unlock();
}

}  // namespace

unsigned fork_generation() noexcept { return generation.load(std::memory_order_relaxed); }

unsigned forks_begun() noexcept { return begun.load(); }

void ForkListener::join() {
  static const int registered = pthread_atfork(prepare, in_parent, in_child);
  static_cast<void>(registered);  // without memory for it, forks are not noticed
  const std::lock_guard lock(Listeners::get().mutex);
  Listeners::get().all.push_back(this);
}

void ForkListener::leave() {
  const std::lock_guard lock(Listeners::get().mutex);
  std::erase(Listeners::get().all, this);
}

}  // namespace qkjit
