// Of many processes that want a kernel, one compiles it; and none waits for ever.
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <new>
#include <thread>

#include "tests/unit/jit_fixture.hpp"
#include "tests/unit/mentions.hpp"
#include "tests/unit/temporary_directory.hpp"

using namespace qkjit;
using namespace qkjit::test;
using namespace std::chrono_literals;

namespace {

/// Counters that forked children share.
struct Shared {
  std::atomic<int> compiles{0}, right{0};
};

class SharedMemory {
 public:
  SharedMemory() {
    void* const memory =
        ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    REQUIRE(memory != MAP_FAILED);
    shared_ = new (memory) Shared;
  }
  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;
  ~SharedMemory() { ::munmap(shared_, sizeof(Shared)); }
  Shared* operator->() { return shared_; }

 private:
  Shared* shared_;
};

/// A child that obtains the spec's kernel with a compile that takes `time`.
pid_t start(const CacheDirectory& cache, SharedMemory& shared, std::chrono::milliseconds time,
            bool refuse = false, const Spec& spec = kSpec) {
  const pid_t child = ::fork();
  if (child != 0) return child;
  JitFixture f(cache);
  f.nvrtc->refuse = refuse;
  f.nvrtc->inside = [&] {
    ++shared->compiles;
    std::this_thread::sleep_for(time);
  };
  const auto kernel = f.obtain(spec);
  const std::string answer = kernel ? (*kernel)->cubin : kernel.error().error.message;
  if (answer == (refuse ? "log of compile 1" : "cubin for sm_90")) ++shared->right;
  ::_exit(0);
}

void wait_for(const std::vector<pid_t>& children) {
  for (const pid_t child : children) {
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(status == 0);
  }
}

void wait_until_compiling(SharedMemory& shared) {
  for (int i = 0; i < 20000 && shared->compiles == 0; ++i) std::this_thread::sleep_for(1ms);
  REQUIRE(shared->compiles == 1);
}

}  // namespace

TEST_CASE("of 64 processes on one cold key, one compiles", "[jit][processes]") {
  const TemporaryDirectory root;
  const CacheDirectory cache(root.path() / "cache");
  SharedMemory shared;
  std::vector<pid_t> children;
  for (int i = 0; i < 64; ++i) children.push_back(start(cache, shared, 300ms));
  wait_for(children);
  CHECK(shared->compiles == 1);
  CHECK(shared->right == 64);
  CHECK(cache.list().size() == 1);
}

TEST_CASE("processes on different keys compile at the same time", "[jit][processes]") {
  const TemporaryDirectory root;
  const CacheDirectory cache(root.path());
  SharedMemory shared;
  const auto begin = std::chrono::steady_clock::now();
  std::vector<pid_t> children;
  for (int i = 0; i < 8; ++i) {
    children.push_back(start(cache, shared, 1s, false, {.head_dim = 64 + 8 * i, .rope_dim = 64}));
  }
  wait_for(children);
  CHECK(shared->compiles == 8);
  CHECK(shared->right == 8);
  CHECK(std::chrono::steady_clock::now() - begin < 7s);  // 8 s one after the other
}

TEST_CASE("a failing compile is not published and strands nobody", "[jit][processes]") {
  const TemporaryDirectory root;
  const CacheDirectory cache(root.path());
  SharedMemory shared;
  std::vector<pid_t> children;
  for (int i = 0; i < 8; ++i) children.push_back(start(cache, shared, 10ms, true));
  wait_for(children);
  CHECK(shared->right == 8);
  CHECK(cache.list().empty());
}

TEST_CASE("when the one that compiles is killed, another takes over", "[jit][processes]") {
  const TemporaryDirectory root;
  const CacheDirectory cache(root.path());
  SharedMemory shared;
  const pid_t first = start(cache, shared, 60s);
  wait_until_compiling(shared);
  std::vector<pid_t> others;
  for (int i = 0; i < 4; ++i) others.push_back(start(cache, shared, 1ms));
  std::this_thread::sleep_for(50ms);
  REQUIRE(::kill(first, SIGKILL) == 0);
  REQUIRE(::waitpid(first, nullptr, 0) == first);
  wait_for(others);
  CHECK(shared->compiles == 2);
  CHECK(shared->right == 4);
}

TEST_CASE("one that waits too long compiles for itself, and says so", "[jit][processes]") {
  const TemporaryDirectory root;
  const CacheDirectory cache(root.path());
  SharedMemory shared;
  const pid_t first = start(cache, shared, 60s);
  wait_until_compiling(shared);
  REQUIRE(::kill(first, SIGSTOP) == 0);
  JitFixture f(cache);
  f.options.patience = 100ms;
  const auto kernel = f.obtain();
  REQUIRE(::kill(first, SIGKILL) == 0);
  REQUIRE(::waitpid(first, nullptr, 0) == first);
  REQUIRE(kernel.has_value());
  CHECK(f.nvrtc->compiles == 1);
  REQUIRE(f.warnings.size() == 1);
  CHECK(mentions(f.warnings[0], {"another process", "100 ms", "head_dim=128"}));
}

TEST_CASE("a lock excludes threads too, and is free again after a fork", "[jit][processes]") {
  const TemporaryDirectory root;
  const auto file = root.path() / ".lock";
  using State = FileLock::State;
  pid_t child = 0;
  {
    const FileLock first = FileLock::acquire(file, 7, 0ms);
    CHECK(first.state() == State::held);
    CHECK(FileLock::acquire(file, 7, 5ms).state() == State::timed_out);
    CHECK(FileLock::acquire(file, 8, 0ms).state() == State::held);
    child = ::fork();
    if (child == 0) {
      ::pause();
      ::_exit(0);
    }
  }
  CHECK(FileLock::acquire(file, 7, 0ms).state() == State::held);
  REQUIRE(::kill(child, SIGKILL) == 0);
  REQUIRE(::waitpid(child, nullptr, 0) == child);
  CHECK(FileLock::acquire(root.path() / "none" / "x", 7, 0ms).state() == State::unavailable);
}
