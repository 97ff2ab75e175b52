// Directories that are not what they were a moment ago, or not the same for every process.
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <thread>

#include "tests/unit/jit_fixture.hpp"
#include "tests/unit/mentions.hpp"
#include "tests/unit/temporary_directory.hpp"

using namespace qkjit;
using namespace qkjit::test;
namespace fs = std::filesystem;

namespace {

bool is_right(const KernelResult& kernel) {
  return kernel.has_value() && (*kernel)->cubin == "cubin for sm_90";
}

/// What `work` gives, in a process of its own.
int in_child(const std::function<int()>& work) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(work());
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(WIFEXITED(status));
  return WEXITSTATUS(status);
}

constexpr int kNotPossible = 77;

}  // namespace

TEST_CASE("a directory that cannot be written serves hits", "[fault][processes]") {
  const TemporaryDirectory root;
  const CacheDirectory cache(root.path() / "cache");
  const fs::path file = fill(cache);
  REQUIRE(::chmod(root.path().c_str(), 0755) == 0);
  REQUIRE(::chmod(file.c_str(), 0644) == 0);
  REQUIRE(::chmod(cache.path().c_str(), 0555) == 0);
  const int answer = in_child([&] {
    if (::geteuid() == 0 && ::setuid(65534) != 0) return kNotPossible;  // root may write anywhere
    JitFixture f(CacheDirectory(cache.path()));
    if (!is_right(f.obtain()) || f.nvrtc->compiles != 0) return 1;
    if (!f.warnings.empty()) return 2;
    // A kernel that is not there is compiled, and stays in memory.
    if (!f.obtain(kOther) || f.nvrtc->compiles != 1 || f.warnings.size() != 1) return 3;
    return f.obtain(kOther) && f.nvrtc->compiles == 1 ? 0 : 4;
  });
  CHECK(answer == 0);
  CHECK(cache.list().size() == 1);
}

TEST_CASE("an entry that is swapped for links and for others while it is read is never another's",
          "[fault]") {
  const TemporaryDirectory root;
  const CacheDirectory cache(root.path() / "cache"), elsewhere(root.path() / "elsewhere");
  const fs::path file = fill(cache);
  JitFixture other(elsewhere);
  REQUIRE(other.obtain(kOther).has_value());
  const fs::path planted = elsewhere.list().front().path, spare = root.path() / "spare";
  fs::copy_file(file, spare);

  std::atomic<bool> stop{false};
  const Key key = kernel_key(kSpec, default_variant(kSpec), "sm_90");
  int hits = 0, misses = 0;
  {
    const std::jthread swapper([&] {
      const fs::path next = root.path() / "next";
      const auto put = [&](const auto& make) {
        fs::remove(next);
        make();
        fs::rename(next, file);
      };
      while (!stop) {
        put([&] { fs::create_symlink(planted, next); });
        put([&] { fs::copy_file(planted, next); });
        put([&] { fs::create_symlink(spare, next); });
        put([&] { fs::create_hard_link(spare, next); });
        fs::remove(file);
        fs::create_directory(file);
        fs::remove(file);
        put([&] { std::ofstream(next) << "half"; });
      }
    });
    for (int i = 0; i < 3000; ++i) {
      const Lookup lookup = cache.look(key, {});
      if (lookup.found != Found::entry) {
        ++misses;
      } else if (lookup.entry.key == key.record() && lookup.entry.cubin == "cubin for sm_90") {
        ++hits;
      } else {
        FAIL("what is not the key's was taken for its entry");
      }
    }
    stop = true;
  }
  CHECK(hits + misses == 3000);
  CHECK(misses > 0);
  fs::remove_all(file);
  REQUIRE(JitFixture(cache).obtain().has_value());  // and its place heals
  CHECK(cache.look(key, {}).found == Found::entry);
}

TEST_CASE("a directory that is swapped for a link while it is used: every kernel is right",
          "[fault]") {
  const TemporaryDirectory root;
  const fs::path place = root.path() / "cache", away = root.path() / "away";
  const fs::path foreign = root.path() / "foreign";
  fs::create_directory(place);
  fs::create_directory(foreign);
  std::atomic<bool> stop{false};
  {
    const std::jthread swapper([&] {
      std::error_code ignored;
      while (!stop) {
        fs::rename(place, away, ignored);
        fs::create_directory_symlink(foreign, place, ignored);
        fs::remove(place, ignored);
        fs::rename(away, place, ignored);
      }
    });
    for (int i = 0; i < 300; ++i) {
      JitFixture f{CacheDirectory(place)};  // as a new process
      CHECK(is_right(f.obtain()));
    }
    stop = true;
  }
}

TEST_CASE("processes in two mount namespaces that see one directory share it",
          "[fault][processes]") {
  const TemporaryDirectory root;
  const fs::path real = root.path() / "real", seen = root.path() / "seen";
  fs::create_directory(real);
  fs::create_directory(seen);
  REQUIRE(::chmod(real.c_str(), 0700) == 0);
  const auto mounted = [&] {
    const int flags = CLONE_NEWNS | (::geteuid() == 0 ? 0 : CLONE_NEWUSER);
    return ::unshare(flags) == 0 &&
           ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
           ::mount(real.c_str(), seen.c_str(), nullptr, MS_BIND, nullptr) == 0;
  };
  const auto obtain = [&](const fs::path& place) {
    JitFixture f{CacheDirectory(place)};
    f.nvrtc->inside = [] { std::this_thread::sleep_for(std::chrono::milliseconds(100)); };
    return is_right(f.obtain()) ? f.nvrtc->compiles.load() : 50;
  };
  std::vector<pid_t> children;
  for (int i = 0; i < 8; ++i) {
    children.push_back(::fork());
    if (children.back() != 0) continue;
    if (i % 2 == 0) ::_exit(obtain(real));
    ::_exit(mounted() ? obtain(seen) : kNotPossible);
  }
  int compiles = 0;
  bool possible = true;
  for (const pid_t child : children) {
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    REQUIRE(WIFEXITED(status));
    if (WEXITSTATUS(status) == kNotPossible) {
      possible = false;
    } else {
      compiles += WEXITSTATUS(status);
    }
  }
  if (!possible) WARN("this system does not let a process have mounts of its own");
  CHECK(compiles == 1);
  CHECK(CacheDirectory(real).list().size() == 1);
}
