// Whatever a file system answers, the right kernel comes, and what it leaves on disk is good.
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <thread>

#include "tests/fault/faults.hpp"
#include "tests/support/figures.hpp"
#include "tests/unit/jit_fixture.hpp"
#include "tests/unit/mentions.hpp"
#include "tests/unit/temporary_directory.hpp"

using namespace qkjit;
using namespace qkjit::test;

namespace {

constexpr int kErrors[] = {EIO, ENOSPC, EDQUOT, ESTALE, EBUSY, EACCES, EROFS, ENOENT, EMFILE};

bool is_right(const KernelResult& kernel) {
  return kernel.has_value() && (*kernel)->cubin == "cubin for sm_90";
}

/// Only good entries, and those are found.
bool is_sound(const CacheDirectory& cache) {
  for (const CacheDirectory::File& file : cache.list()) {
    if (cache.examine(file.path).found != Found::entry) return false;
  }
  return is_right(JitFixture(cache).obtain()) && cache.list().size() == 1;
}

}  // namespace

TEST_CASE("each call of a cold start fails in each way", "[fault][figures]") {
  int happened = 0;
  for (const std::string_view call : kFileCalls) {
    for (const int error : kErrors) {
      for (const int nth : {1, 2, 3}) {
        for (const bool lasting : {false, true}) {
          const TemporaryDirectory root;
          const CacheDirectory cache(root.path() / "cache");
          JitFixture f(cache);
          f.jit();
          bool right = false;
          {
            const Fault fault(call, error, nth, lasting);
            right = is_right(f.obtain());
            happened += Fault::happened();
          }
          INFO(call << " " << nth << " fails: " << std::strerror(error) << " lasting: " << lasting);
          CHECK(right);
          CHECK(f.nvrtc->compiles == 1);
          CHECK(is_sound(CacheDirectory(root.path() / "cache")));
        }
      }
    }
  }
  CHECK(happened > 200);
  figure("calls made to fail", happened);
}

TEST_CASE("each call of a warm start fails in each way, and the entry stays", "[fault]") {
  const TemporaryDirectory root;
  const CacheDirectory cache(root.path() / "cache");
  fill(cache);
  for (const std::string_view call : {"open", "read", "fstat", "close"}) {
    for (const int error : kErrors) {
      JitFixture f(cache);
      f.jit();
      bool right = false, happened = false;
      {
        const Fault fault(call, error);
        right = is_right(f.obtain());
        happened = Fault::happened();
      }
      INFO(call << " fails: " << std::strerror(error));
      CHECK((right && happened));
      CHECK(f.nvrtc->compiles <= 1);
      CHECK(is_sound(cache));
      CHECK(files_of(cache.path()).size() == 1);  // nothing was quarantined
    }
  }
}

TEST_CASE("short writes and interrupted calls are completed", "[fault]") {
  for (const auto& [call, error] : {std::pair{"write", 0}, {"write", EINTR}, {"read", EINTR}}) {
    const TemporaryDirectory root;
    const CacheDirectory cache(root.path());
    for (int i = 0; i < 2; ++i) {
      JitFixture f(cache);
      f.jit();
      const Fault fault(call, error);
      CHECK(is_right(f.obtain()));
      CHECK(f.nvrtc->compiles == (i == 0 ? 1 : 0));
      CHECK(f.warnings.empty());
    }
    CHECK(is_sound(cache));
  }
}

TEST_CASE("one whose entry others see late uses its own bytes", "[fault]") {
  const TemporaryDirectory root;
  const CacheDirectory cache(root.path());
  fill(cache);
  JitFixture late(cache);
  late.jit();
  {
    const Fault fault("open", ENOENT, 1, true);  // the entry is there, but not yet for this one
    CHECK(is_right(late.obtain()));
  }
  CHECK(late.nvrtc->compiles == 1);
  CHECK(is_sound(cache));
}

TEST_CASE("without working locks every process is right", "[fault][processes]") {
  for (const int error : {0, ENOLCK, ENOSYS, EINVAL}) {  // 0: a lock that excludes nobody
    const TemporaryDirectory root;
    const CacheDirectory cache(root.path());
    std::vector<pid_t> children;
    for (int i = 0; i < 8; ++i) {
      children.push_back(::fork());
      if (children.back() != 0) continue;
      JitFixture f(cache);
      f.nvrtc->inside = [] { std::this_thread::sleep_for(std::chrono::milliseconds(20)); };
      f.jit();
      const Fault fault("fcntl", error, 1, true);
      ::_exit(is_right(f.obtain()) ? 0 : 1);
    }
    for (const pid_t child : children) {
      int status = 0;
      REQUIRE(::waitpid(child, &status, 0) == child);
      CHECK(status == 0);
    }
    CHECK(is_sound(cache));
  }
}
