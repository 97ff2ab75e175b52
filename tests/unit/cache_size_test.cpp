// The writable directory stays within its limit, by what was used longest ago.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <ctime>
#include <fstream>
#include <new>

#include "cache/directory.hpp"
#include "tests/support/figures.hpp"
#include "tests/unit/mentions.hpp"
#include "tests/unit/temporary_directory.hpp"

using namespace qkjit;
using namespace qkjit::test;
namespace fs = std::filesystem;

namespace {

constexpr std::int64_t kNow = 1'800'000'000, kHour = 3600;

Key key_of(int i) { return Key::of({{"name", std::to_string(i)}}); }

void store(const CacheDirectory& cache, int i, std::size_t bytes) {
  const Entry entry = {key_of(i).record(), "{}", std::string(bytes, 'c'), ""};
  if (!cache.store(key_of(i), entry)) FAIL("cannot store " << i);
}

std::uint64_t bytes_of(const CacheDirectory& cache) {
  return counted_bytes(files_of(cache.path()));
}

void stamp(const fs::path& file, std::int64_t seconds) {
  const timespec times[] = {{seconds, 0}, {seconds, 0}};
  REQUIRE(::utimensat(AT_FDCWD, file.c_str(), times, 0) == 0);
}
std::int64_t stamp_of(const fs::path& file) {
  struct stat status {};
  REQUIRE(::stat(file.c_str(), &status) == 0);
  return status.st_mtim.tv_sec;
}

void write(const fs::path& file, std::size_t bytes, std::int64_t seconds) {
  std::ofstream(file) << std::string(bytes, 'x');
  stamp(file, seconds);
}

}  // namespace

TEST_CASE("ten times the limit: what was used longest ago goes, the last stays", "[cache][size]") {
  const TemporaryDirectory root;
  const CacheDirectory cache(root.path(), 100'000);
  const std::int64_t now = std::time(nullptr);
  for (int i = 0; i < 100; ++i) {
    store(cache, i, 10'000);
    REQUIRE(bytes_of(cache) <= 100'000);
    stamp(cache.file_of(key_of(i).digest()), now - 1000 + i);
  }
  CHECK(bytes_of(cache) > 80'000);
  CHECK(cache.has(key_of(99).digest()));
  CHECK_FALSE(cache.has(key_of(80).digest()));
}

TEST_CASE("8 processes that write ten times the limit pass it by at most one entry each",
          "[cache][size][processes][figures]") {
  const TemporaryDirectory root;
  const fs::path place = root.path() / "cache";
  constexpr std::uint64_t kLimit = 400'000, kEntry = 20'000;
  using Peak = std::atomic<std::uint64_t>;
  void* const memory =
      ::mmap(nullptr, sizeof(Peak), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  REQUIRE(memory != MAP_FAILED);
  Peak& peak = *new (memory) Peak(0);
  std::vector<pid_t> children;
  for (int process = 0; process < 8; ++process) {
    children.push_back(::fork());
    if (children.back() != 0) continue;
    const CacheDirectory cache(place, kLimit);
    for (int i = 0; i < 25; ++i) {
      const Key key = key_of(1000 * process + i);
      if (!cache.store(key, {key.record(), "{}", std::string(kEntry, 'c'), ""})) ::_exit(1);
      std::uint64_t before = peak;
      const std::uint64_t now = bytes_of(cache);
      while (before < now && !peak.compare_exchange_weak(before, now)) {
      }
    }
    ::_exit(0);
  }
  for (const pid_t child : children) {
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(status == 0);
  }
  const std::uint64_t over = std::max<std::uint64_t>(peak, kLimit) - kLimit;
  CHECK(over <= 8 * (kEntry + 200));
  CHECK(bytes_of(CacheDirectory(place)) <= kLimit);
  figure("over the limit at most, entries", fmt::format("{:.2f}", double(over) / (kEntry + 200)));
  ::munmap(memory, sizeof(Peak));
}

TEST_CASE("use is stamped, at a coarse grain, and saves an entry", "[cache][size]") {
  const TemporaryDirectory root;
  const CacheDirectory cache(root.path());
  store(cache, 1, 100);
  const fs::path file = cache.file_of(key_of(1).digest());
  const std::int64_t now = stamp_of(file);
  for (const std::int64_t before : {now - 2 * kHour, now + 48 * kHour}) {  // a clock may jump
    stamp(file, before);
    cache.mark_used(cache.look(key_of(1), {}));
    CHECK(std::abs(stamp_of(file) - now) < 600);
  }
  stamp(file, now - 60);
  cache.mark_used(cache.look(key_of(1), {}));
  CHECK(stamp_of(file) == now - 60);  // no write on every hit
}

TEST_CASE("pruning takes leftovers by age, then damaged files, then the least used",
          "[cache][size]") {
  const TemporaryDirectory root;
  const auto file = [&](const char* name) { return root.path() / name; };
  write(file("a.qkjit"), 100, kNow - 3 * kHour);
  write(file("b.qkjit"), 100, kNow - 5 * kHour);
  write(file("c.qkjit"), 100, kNow + 99 * kHour);  // stamped by a wrong clock
  write(file("d.qkjit.bad"), 100, kNow);
  write(file("e.qkjit.bad"), 10, kNow - 8 * 24 * kHour);
  write(file("f.qkjit.tmp.aaaaaa"), 50, kNow - 2 * kHour);
  write(file("g.qkjit.tmp.bbbbbb"), 50, kNow - 10);
  write(file("notes.txt"), 5000, 0);

  const Pruned nothing = prune(files_of(root.path()), 400, 400, kNow);
  CHECK((nothing.entries == 0 && nothing.quarantined == 1 && nothing.temporaries == 1));
  CHECK((nothing.bytes == 60 && nothing.kept == 400));
  CHECK((fs::exists(file("g.qkjit.tmp.bbbbbb")) && fs::exists(file("d.qkjit.bad"))));

  const Pruned some = prune(files_of(root.path()), 399, 250, kNow);
  CHECK((some.entries == 1 && some.quarantined == 1 && some.kept == 200));
  CHECK_FALSE(fs::exists(file("b.qkjit")));
  CHECK((fs::exists(file("a.qkjit")) && fs::exists(file("notes.txt"))));

  std::vector<CacheFile> seen = files_of(root.path());
  stamp(file("a.qkjit"), kNow);  // used meanwhile
  const Pruned guarded = prune(std::move(seen), 1, 1, kNow);
  CHECK((guarded.entries == 1 && guarded.kept == 100));
  CHECK(fs::exists(file("a.qkjit")));
}

TEST_CASE("the limit holds where all stamps are the same, or the clock jumped back",
          "[cache][size]") {
  for (const std::int64_t stamped : {kNow, kNow + 10 * 365 * 24 * kHour}) {
    const TemporaryDirectory root;
    for (int i = 0; i < 10; ++i) {
      write(root.path() / (std::to_string(i) + ".qkjit"), 100, stamped);
    }
    const Pruned pruned = prune(files_of(root.path()), 500, 450, kNow);
    CHECK((pruned.entries == 6 && pruned.kept == 400));
    CHECK(counted_bytes(files_of(root.path())) == 400);
  }
}

TEST_CASE("a reader keeps an entry that is evicted", "[cache][size]") {
  const TemporaryDirectory root;
  const CacheDirectory cache(root.path(), 5'000);
  store(cache, 1, 4'000);
  std::ifstream reader(cache.file_of(key_of(1).digest()), std::ios::binary);
  store(cache, 2, 4'000);
  const std::string bytes(std::istreambuf_iterator<char>(reader), {});
  CHECK(decode(bytes)->key == key_of(1).record());
}
