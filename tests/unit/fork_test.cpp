// A forked child waits for nothing that only its parent can end. These start threads in children of
// processes with threads, which ThreadSanitizer does not follow.
#include "util/fork.hpp"

#include <signal.h>

#include <thread>

#include "tests/support/child.hpp"
#include "tests/unit/jit_fixture.hpp"
#include "tests/unit/mentions.hpp"
#include "tests/unit/temporary_directory.hpp"
#include "util/worker_pool.hpp"

using namespace qkjit;
using namespace qkjit::test;
using namespace std::chrono_literals;

namespace {

constexpr int kForks = 50;

KernelResult obtain(Jit& jit, const Spec& spec) {
  return jit.obtain(spec, default_variant(spec), "sm_90");
}

/// Holds compiles until it is let go.
struct Held {
  explicit Held(FakeNvrtc& nvrtc) {
    nvrtc.inside = [this] {
      is_inside = true;
      while (!may_end) std::this_thread::sleep_for(1ms);
    };
  }
  void wait() const {
    while (!is_inside) std::this_thread::sleep_for(1ms);
  }
  std::atomic<bool> is_inside{false}, may_end{false};
};

}  // namespace

TEST_CASE("a mutex that another thread holds is free in a forked child, and its data whole",
          "[fork]") {
  ForkMutex mutex;
  int first = 0, second = 0;
  std::jthread other([&](const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      const std::lock_guard lock(mutex);
      ++first;
      std::this_thread::yield();
      ++second;
    }
  });
  for (int i = 0; i < kForks; ++i) {
    CHECK(well_in_child([&] {
      const std::lock_guard lock(mutex);
      return first == second && fork_generation() == 1;
    }));
  }
  CHECK(fork_generation() == 0);
}

TEST_CASE("a child forked while other threads are in the Jit may use it", "[fork][jit]") {
  JitFixture f(std::nullopt);
  Jit& jit = f.jit();
  REQUIRE(obtain(jit, kSpec).has_value());
  std::jthread other([&](const std::stop_token& stop) {
    while (!stop.stop_requested()) static_cast<void>(obtain(jit, kSpec));
  });
  for (int i = 0; i < kForks; ++i) {
    CHECK(well_in_child([&] { return obtain(jit, kSpec) && obtain(jit, kOther); }));
  }
}

TEST_CASE("a child forked while its parent compiles takes what is cached, and compiles nothing",
          "[fork][jit]") {
  const TemporaryDirectory root;
  const CacheDirectory directory(root.path());
  JitFixture(directory).obtain(kOther);
  JitFixture f(directory);
  Held held(*f.nvrtc);
  Jit& jit = f.jit();
  std::jthread compiles([&] { static_cast<void>(obtain(jit, kSpec)); });
  held.wait();
  CHECK(well_in_child([&] {
    const KernelResult none = obtain(jit, kSpec);
    return obtain(jit, kOther) && !none && none.error().reason == Reason::compile_forbidden &&
           none.error().error.message.find("forked while its parent compiled") != std::string::npos;
  }));
  held.may_end = true;
  compiles.join();
  CHECK(well_in_child([&] { return obtain(jit, kSpec).has_value(); }));
}

TEST_CASE("a child forked while nothing is compiled may compile", "[fork][jit]") {
  const TemporaryDirectory root;
  JitFixture f((CacheDirectory(root.path())));
  Jit& jit = f.jit();
  REQUIRE(obtain(jit, kSpec).has_value());
  CHECK(well_in_child([&] { return obtain(jit, kOther).has_value(); }));
  CHECK(f.find(kOther).has_value());  // the child has published it
}

TEST_CASE("a forked child has none of a pool's jobs, and threads of its own", "[fork][pool]") {
  std::atomic<bool> may_end{false};
  std::atomic<int> begun{0};
  WorkerPool pool(2);
  for (int i = 0; i < 5; ++i) {
    pool.submit([&](const std::stop_token&) {
      ++begun;
      while (!may_end) std::this_thread::sleep_for(1ms);
    });
  }
  while (begun < 2) std::this_thread::sleep_for(1ms);
  CHECK(well_in_child([&] {
    if (pool.counts().pending != 0 || !pool.wait_idle(0ms)) return false;
    std::atomic<int> done{0};
    for (int i = 0; i < 5; ++i) pool.submit([&](const std::stop_token&) { ++done; });
    const bool idle = pool.wait_idle(20s);
    pool.stop();
    return idle && done == 5;
  }));
  may_end = true;
  CHECK(pool.wait_idle(20s));
  CHECK(begun == 5);
}

TEST_CASE("a lock goes with the process that took it, whatever its children do",
          "[fork][processes]") {
  const TemporaryDirectory root;
  const auto file = root.path() / ".lock";
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const pid_t holder = start_child([&] {
    std::atomic<bool> held{false};
    std::jthread thread([&] {
      const FileLock lock = FileLock::acquire(file, 7, 0ms);
      held = lock.state() == FileLock::State::held;
      ::pause();
    });
    while (!held) std::this_thread::sleep_for(1ms);
    const pid_t grandchild = start_child([] { return ::pause() == 0; });
    static_cast<void>(!::write(ends[1], &grandchild, sizeof(grandchild)));
    ::pause();
    return false;
  });
  pid_t grandchild = 0;
  REQUIRE(::read(ends[0], &grandchild, sizeof(grandchild)) == sizeof(grandchild));
  CHECK(FileLock::acquire(file, 7, 0ms).state() == FileLock::State::timed_out);
  REQUIRE(::kill(holder, SIGKILL) == 0);
  REQUIRE(::waitpid(holder, nullptr, 0) == holder);
  // The grandchild may be at its first instruction still.
  CHECK(FileLock::acquire(file, 7, 10s).state() == FileLock::State::held);
  CHECK(::kill(grandchild, SIGKILL) == 0);
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST_CASE("a child forked while its parent writes a message may write one", "[fork]") {
  struct Writer {
    std::atomic<bool> is_inside{false}, may_end{false};
  } writer;
  const auto write = [](int, const char*, void* data) {
    auto& state = *static_cast<Writer*>(data);
    state.is_inside = true;
    while (!state.may_end) std::this_thread::sleep_for(1ms);
  };
  const auto log = *Log::create(write, &writer, "");
  std::jthread other([&] { log->warn("of the parent"); });
  while (!writer.is_inside) std::this_thread::sleep_for(1ms);
  CHECK(well_in_child([&] {
    writer.may_end = true;
    log->warn_once("topic", "of the child");
    return true;
  }));
  writer.may_end = true;
}
