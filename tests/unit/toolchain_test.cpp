// Which compiler is there, told without loading it.
#include "jit/toolchain.hpp"

#include <dlfcn.h>
#include <link.h>

#include <cstring>
#include <fstream>

#include "cache/entry.hpp"
#include "compile/nvrtc.hpp"
#include "tests/unit/mentions.hpp"
#include "tests/unit/temporary_directory.hpp"
#include "util/build_id.hpp"
#include "util/library_search.hpp"

using namespace qkjit;

namespace {

/// A linker's cache with one library, in the format of /etc/ld.so.cache.
std::string linker_cache(std::string_view soname, std::string_view file) {
  std::string bytes = "glibc-ld.so.cache1.1";
  const auto add = [&](std::uint32_t value) {
    bytes.append(reinterpret_cast<const char*>(&value), sizeof(value));
  };
  add(1), add(0);
  for (int i = 0; i < 5; ++i) add(0);
  add(0x0303), add(72), add(static_cast<std::uint32_t>(72 + soname.size() + 1));
  for (int i = 0; i < 3; ++i) add(0);
  return bytes.append(soname).append(1, '\0').append(file).append(1, '\0');
}

}  // namespace

TEST_CASE("a toolchain is a name that may stand in a file's name", "[cache][toolchain]") {
  for (const char* good : {"nvrtc-65be0db342ad51a0", "unknown", "nvrtc-13.0", "a"}) {
    CHECK(is_toolchain(good));
  }
  for (const std::string& bad :
       {std::string(), std::string("../x"), std::string(".x"), std::string("a/b"), std::string("A"),
        std::string("a b"), std::string(65, 'a'), std::string("a\0b", 3)}) {
    CHECK_FALSE(is_toolchain(bad));
  }
  CHECK(fails(decode(encode({"k", "{}", "c", "p", "../x"})), Code::cache_io, {"toolchain"}));
}

TEST_CASE("the expected NVRTC is the one that is opened", "[toolchain]") {
  const std::string found = Nvrtc::find("");
  const auto opened = Nvrtc::open("");
  REQUIRE(opened.has_value());
  CHECK(toolchain_of(found) == toolchain_of((*opened)->path()));
  CHECK(toolchain_of(found).starts_with("nvrtc-"));
  CHECK(toolchain_of(found).size() == 6 + 16);
  CHECK(Nvrtc::find("/nonexistent/libnvrtc.so").empty());
}

TEST_CASE("without a build id the version tells compilers apart", "[toolchain]") {
  const TemporaryDirectory root;
  const auto file = (root.path() / "lib.so").string();
  CHECK(build_id(file).empty());
  CHECK(build_id("/proc/self/exe") == build_id("/proc/self/exe"));
  std::ifstream self("/proc/self/exe", std::ios::binary);
  std::string start(4096, '\0');
  self.read(start.data(), 4096);
  for (const std::size_t length : {0u, 5u, 63u, 64u, 200u, 4096u}) {  // cut anywhere, no crash
    std::ofstream(file, std::ios::binary) << start.substr(0, length);
    static_cast<void>(build_id(file));
  }
  std::ofstream(file) << "no library";
  CHECK(toolchain_of(file).empty());
  CHECK(toolchain_of(file, "13.9") == "nvrtc-13.9");
}

TEST_CASE("a library is found where the linker would look", "[toolchain]") {
  const std::string cache = linker_cache("libx.so.1", "/lib/libx.so.1");
  CHECK(find_in_linker_cache(cache, "libx.so.1") == "/lib/libx.so.1");
  CHECK(find_in_linker_cache("ld.so-1.7.0 older" + cache, "libx.so.1") == "/lib/libx.so.1");
  CHECK(find_in_linker_cache(cache, "libx.so").empty());
  for (std::size_t length = 0; length < cache.size(); ++length) {
    CHECK(find_in_linker_cache(cache.substr(0, length), "libx.so.1").size() <= 14);
  }
  // What is loaded is known by its name, wherever it came from.
  const std::string libc[] = {"/nonexistent/libc.so", "libc.so.6"};
  CHECK(find_library(libc).ends_with("libc.so.6"));
  const std::string none[] = {"libqkjit_no_such_library.so.1"};
  CHECK(find_library(none).empty());
}
