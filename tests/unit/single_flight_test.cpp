// Of many processes that want a kernel, one compiles it; and none waits for ever.
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <new>
#include <thread>

#include "jit/toolchain.hpp"
#include "tests/support/figures.hpp"
#include "tests/unit/jit_fixture.hpp"
#include "tests/unit/mentions.hpp"
#include "tests/unit/temporary_directory.hpp"
#include "util/library_search.hpp"

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

TEST_CASE("of 64 processes on one cold key, one compiles", "[jit][processes][figures]") {
  const TemporaryDirectory root;
  const CacheDirectory cache(root.path() / "cache");
  SharedMemory shared;
  std::vector<pid_t> children;
  for (int i = 0; i < 64; ++i) children.push_back(start(cache, shared, 300ms));
  wait_for(children);
  CHECK(shared->compiles == 1);
  CHECK(shared->right == 64);
  CHECK(cache.list().size() == 1);
  figure("one key: compiles", shared->compiles.load());
  figure("one key: right answers", shared->right.load());
}

TEST_CASE("who gets the lock looks again before compiling", "[jit][processes]") {
  const TemporaryDirectory root;
  const CacheDirectory cache(root.path() / "cache");
  // A compiler that is what it was expected to be, so that opening it is no reason to look again.
  const std::string libraries[] = {"libc.so.6"};
  JitFixture f(cache);
  f.nvrtc->file = find_library(libraries);
  REQUIRE_FALSE(toolchain_of(f.nvrtc->file).empty());
  f.options.find_compiler = [&] { return f.nvrtc->file; };

  /// Asked after the writable directory: its answer "nothing" comes when another has the lock, and
  /// publishes the entry before it lets go.
  struct Meanwhile final : CacheLayer {
    std::string name() const override { return "meanwhile"; }
    bool has(const std::string&) const override { return false; }
    Lookup look(const Key& key, const Wanted&) const override {
      if (!then) return {};
      then(key);
      return {};
    }
    Result<void> store(const Key&, const Entry&) const override { return {}; }
    std::function<void(const Key&)> then;
  };
  auto layer = std::make_shared<Meanwhile>();
  layer->then = [&](const Key& key) {
    const TemporaryDirectory elsewhere;
    const CacheDirectory others(elsewhere.path());
    JitFixture other(others);
    other.nvrtc->file = f.nvrtc->file;
    REQUIRE(other.obtain().has_value());
    REQUIRE(cache.store(key, **others.find(key)).has_value());
  };
  f.options.further = {layer};
  REQUIRE(f.obtain().has_value());
  CHECK(f.nvrtc->compiles == 0);
  CHECK(f.opened == 0);
  CHECK(f.jit().counters().cache_hits() == 1);
}

TEST_CASE("64 processes on 64 keys compile each once, and all are right",
          "[jit][processes][figures]") {
  const TemporaryDirectory root;
  const CacheDirectory cache(root.path() / "cache");
  SharedMemory shared;
  for (const int expected : {64, 64}) {  // cold, then warm
    std::vector<pid_t> children;
    for (int i = 1; i <= 64; ++i) {
      children.push_back(start(cache, shared, 20ms, false, {.head_dim = 8 * i, .rope_dim = 8}));
    }
    wait_for(children);
    CHECK(shared->compiles == expected);
  }
  CHECK(shared->right == 128);
  CHECK(cache.list().size() == 64);
  figure("64 keys, cold and warm: compiles", shared->compiles.load());
  figure("64 keys, cold and warm: right answers", shared->right.load());
}

TEST_CASE("a good compile after a failed one is kept and served", "[jit][processes]") {
  const TemporaryDirectory root;
  const CacheDirectory cache(root.path());
  SharedMemory shared;
  wait_for({start(cache, shared, 1ms, true)});
  CHECK(cache.list().empty());
  for (int i = 0; i < 2; ++i) wait_for({start(cache, shared, 1ms)});
  CHECK(shared->right == 3);
  CHECK(shared->compiles == 2);  // the third process finds what the second made
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
