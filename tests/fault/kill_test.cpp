// A process killed at any system call of a publish leaves the old entry or the new one.
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <optional>

#include "cache/directory.hpp"
#include "tests/support/figures.hpp"
#include "tests/unit/mentions.hpp"
#include "tests/unit/temporary_directory.hpp"

using namespace qkjit;
using namespace qkjit::test;

namespace {

const Key kKey = Key::of({{"name", "a"}});

Entry entry_of(const std::string& code, const std::string& toolchain = "nvrtc-1") {
  return {kKey.record(), "{}", code, "ptx", toolchain};
}

enum class End { killed, finished, untraceable };

/// Stores the entry in a child that is killed at its `stop`th entry to, or return from, the system.
End store_and_kill(const CacheDirectory& cache, const Entry& entry, int stop) {
  const pid_t child = ::fork();
  if (child == 0) {
    if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) ::_exit(3);
    ::raise(SIGSTOP);
    ::_exit(cache.store(kKey, entry).has_value() ? 0 : 1);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  if (!WIFSTOPPED(status)) return End::untraceable;
  for (int i = 0; i < stop; ++i) {
    REQUIRE(::ptrace(PTRACE_SYSCALL, child, nullptr, nullptr) == 0);
    REQUIRE(::waitpid(child, &status, 0) == child);
    if (WIFEXITED(status)) {
      CHECK(WEXITSTATUS(status) == 0);
      return End::finished;
    }
  }
  REQUIRE(::kill(child, SIGKILL) == 0);
  REQUIRE(::waitpid(child, &status, 0) == child);
  return End::killed;
}

std::string code_in(const CacheDirectory& cache) {
  const Lookup lookup = cache.look(kKey, {});
  return lookup.found == Found::nothing ? "none"
         : lookup.found == Found::entry ? lookup.entry.cubin
                                        : lookup.problem;
}

/// Kills a store of `entry` over `before` at every stop; gives how many there were.
int kill_everywhere(const std::optional<Entry>& before, const Entry& entry) {
  const std::string old = before ? before->cubin : "none";
  for (int stop = 1;; ++stop) {
    const TemporaryDirectory root;
    const CacheDirectory cache(root.path() / "cache", 1 << 20);
    if (before) REQUIRE(cache.store(kKey, *before).has_value());
    const End end = store_and_kill(CacheDirectory(cache.path(), 1 << 20), entry, stop);
    if (end == End::untraceable) return 0;
    const std::string found = code_in(cache);
    INFO("killed at stop " << stop);
    CHECK((found == old || found == entry.cubin));
    CHECK(cache.store(kKey, entry).has_value());
    CHECK(code_in(cache) == entry.cubin);
    if (end == End::finished) return stop;
  }
}

}  // namespace

TEST_CASE("kill -9 at every system call of a publish", "[fault][processes][figures]") {
  const int stops = kill_everywhere(std::nullopt, entry_of("new"));
  if (stops == 0) {
    WARN("this system does not let a process trace its child");
    return;
  }
  const int over = kill_everywhere(entry_of("old"), entry_of("new"));
  const int over_other = kill_everywhere(entry_of("old", "nvrtc-0"), entry_of("new"));
  CHECK((stops > 20 && over > 20 && over_other > 20));
  figure("writers killed", stops + over + over_other - 3);  // the last of each finished
}
