// Code that the driver refuses: from the cache it is compiled anew, and what was compiled here is
// not tried again.
#include "codegen/source.hpp"
#include "jit/metadata.hpp"
#include "tests/catch.hpp"
#include "tests/driver/fixture.hpp"
#include "tests/unit/mentions.hpp"
#include "tests/unit/temporary_directory.hpp"

using namespace qkjit;
using namespace qkjit::test;

namespace {

const std::string kEntry = fused_source(kSpec, kFirstVariant).entry;

/// Puts code for kSpec's first kernel into the cache. Its metadata calls the function `entry`, and
/// has a wrong target.
void store(const CacheDirectory& directory, const std::string& cubin, const std::string& entry) {
  const Key key = kernel_key(kSpec, kFirstVariant, "sm_90");
  Kernel kernel;
  kernel.entry = entry, kernel.target = "sm_0", kernel.cubin = cubin;
  kernel.toolchain = "nvrtc-13.9";  // the fake compiler's
  REQUIRE(directory.store(key, to_entry(kernel, key.record())).has_value());
}

std::string stored_code(const CacheDirectory& directory) {
  return directory.find(kernel_key(kSpec, kFirstVariant, "sm_90"))->value().cubin;
}

}  // namespace

TEST_CASE("the key, not an entry's metadata, says which function is launched", "[driver]") {
  const TemporaryDirectory root;
  store(CacheDirectory(root.path()), "good cubin", "another");
  DriverFixture f;
  f.options.writable = CacheDirectory(root.path());
  CHECK(f.launch(small_call()) == "fused (none)");
  CHECK(fake_cuda().last_launch().code == "good cubin");
  CHECK(fake_cuda().last_launch().entry == kEntry);
}

TEST_CASE("a cached kernel that the driver refuses is compiled anew, once, and replaced",
          "[driver]") {
  const TemporaryDirectory root;
  const CacheDirectory directory(root.path());
  store(directory, "stale cubin", kEntry);
  DriverFixture f;
  fake_cuda().refused = "stale";
  f.options.writable = directory;
  CHECK(f.launch(small_call()) == "fused (none)");
  CHECK(fake_cuda().last_launch().code == "cubin for sm_90");
  CHECK(fake_cuda().loads == 2);
  CHECK(f.launch(small_call()) == "fused (none)");
  CHECK(fake_cuda().loads == 2);
  const Stats stats = f.runtime().stats();
  CHECK(stats.cache_rejected == 1);
  CHECK(stats.compiled == 2);  // this, and the other kernel of the spec
  CHECK(stats.failed == 0);
  REQUIRE(f.warnings.size() == 1);
  CHECK(mentions(f.warnings[0], {"cache entry", "driver", kEntry}));
  CHECK(stored_code(directory) == "cubin for sm_90");
  // For all who ask from now on.
  CHECK((*f.runtime().compile(kSpec, kFirstVariant, "sm_90"))->cubin == "cubin for sm_90");
}

TEST_CASE("a refused cached kernel falls back where compiling is forbidden", "[driver]") {
  const TemporaryDirectory root;
  store(CacheDirectory(root.path()), "stale cubin", kEntry);
  DriverFixture f;
  fake_cuda().refused = "stale";
  f.options.read_only.emplace_back(CacheDirectory(root.path()));
  f.options.compile = CompilePolicy::never;
  for (int i = 0; i < 3; ++i) {
    CHECK(f.launch(small_call()) == "generic (compile_forbidden)");
  }
  CHECK(fake_cuda().loads == 2);  // the stale one once, and the generic one
  CHECK(f.runtime().stats().cache_rejected == 1);
  CHECK(stored_code(CacheDirectory(root.path())) == "stale cubin");
}

TEST_CASE("what was compiled here and is refused is not tried again", "[driver]") {
  DriverFixture f;
  fake_cuda().refused = "cubin for";
  for (int i = 0; i < 3; ++i) CHECK(f.launch(small_call()) == "generic (compile_failed)");
  CHECK(fake_cuda().loads == 3);  // each of the two once, and the generic one
  CHECK(f.runtime().stats().failed == 2);
  fake_cuda().capturing = true;
  CHECK(f.launch(small_call()) == "generic (compile_failed)");
  fake_cuda().capturing = false;
  CHECK(f.nvrtc->compiles == 2);
  CHECK(fails(f.runtime().prepare(kSpec), Code::compile_failed, {"cannot load"}));
}
