// A process that exits in the middle of a background compile neither crashes nor hangs, and leaves
// nothing half.
#include <spawn.h>
#include <sys/wait.h>

#include "cache/directory.hpp"
#include "tests/catch.hpp"
#include "tests/unit/temporary_directory.hpp"

using namespace qkjit;

namespace {

/// The wait status of the program that exits in this way.
int run(const std::string& way, const std::filesystem::path& cache) {
  setenv("QKJIT_NVRTC", QKJIT_SLOW_NVRTC, 1);
  setenv("QKJIT_CACHE_DIR", cache.c_str(), 1);
  std::string program = QKJIT_EXITS, argument = way;
  char* const arguments[] = {program.data(), argument.data(), nullptr};
  pid_t child = 0;
  const int error = posix_spawn(&child, program.c_str(), nullptr, nullptr, arguments, environ);
  unsetenv("QKJIT_NVRTC");
  unsetenv("QKJIT_CACHE_DIR");
  REQUIRE(error == 0);
  int status = -1;
  REQUIRE(::waitpid(child, &status, 0) == child);
  return status;
}

}  // namespace

TEST_CASE("exit() in the middle of a background compile", "[driver][background][threads]") {
  const std::string way = GENERATE("main", "thread", "later", "child", "destroy", "quick");
  INFO(way);
  const TemporaryDirectory root;
  CHECK(run(way, root.path()) == 0);
  const CacheDirectory cache(root.path());
  const auto entries = cache.list();
  if (way != "quick") CHECK_FALSE(entries.empty());  // what was being compiled is kept
  for (const CacheDirectory::File& file : entries) {
    CHECK(cache.examine(file.path).found == Found::entry);
  }
}
