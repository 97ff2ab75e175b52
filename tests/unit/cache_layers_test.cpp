// The layers of the cache in order, and whose compiler's entries serve from which.
#include <cstdlib>
#include <fstream>

#include "tests/support/figures.hpp"
#include "tests/unit/jit_fixture.hpp"
#include "tests/unit/mentions.hpp"
#include "tests/unit/temporary_directory.hpp"
#include "tools/qkjit/bundle/contents.hpp"
#include "util/file.hpp"

using namespace qkjit;
using namespace qkjit::test;
namespace fs = std::filesystem;

namespace {

/// Not a constant: what it is made from is initialised elsewhere.
Key the_key() { return kernel_key(kSpec, default_variant(kSpec), "sm_90"); }

/// kSpec's entry as another compiler made it: its code says so.
void fill_by(const CacheDirectory& directory, const std::string& toolchain) {
  TemporaryDirectory root;
  fill(CacheDirectory(root.path()));
  Entry entry = **CacheDirectory(root.path()).find(the_key());
  entry.toolchain = toolchain;
  entry.cubin = "cubin by " + toolchain;
  REQUIRE(directory.store(the_key(), entry).has_value());
}

/// A store in memory, such as a host may put on a network.
class Remote final : public CacheLayer {
 public:
  std::string name() const override { return "remote"; }
  bool has(const std::string& digest) const override { return digest == key; }
  Lookup look(const Key& wanted_key, const Wanted& wanted) const override {
    ++asked;
    if (wanted_key.digest() != key) return {};
    return judge(bytes, "remote/" + key, wanted_key, wanted);
  }
  Result<void> store(const Key&, const Entry&) const override { return {}; }

  std::string key, bytes;
  mutable int asked = 0;
};

std::string code_of(const KernelResult& kernel) {
  return kernel ? (*kernel)->cubin : kernel.error().error.message;
}

}  // namespace

TEST_CASE("each byte of an entry's file changed, and each shorter length, is damage", "[cache]") {
  const TemporaryDirectory root;
  const CacheDirectory cache(root.path());
  const fs::path file = fill(cache);
  const std::string whole = *read_file(file, kMaxEntryBytes);
  const auto look_at = [&](const std::string& bytes) {
    std::ofstream(file, std::ios::binary) << bytes;
    return cache.look(the_key(), {}).found;
  };
  for (std::size_t i = 0; i < whole.size(); ++i) {
    std::string changed = whole;
    changed[i] = static_cast<char>(changed[i] ^ 0x40);
    if (look_at(changed) != Found::damaged) FAIL("byte " << i);
    if (look_at(whole.substr(0, i)) != Found::damaged) FAIL("length " << i);
  }
  CHECK(look_at(whole + whole) == Found::damaged);
  CHECK(look_at(whole) == Found::entry);
}

TEST_CASE("whatever is changed in an entry's file, the right kernel comes and the place heals",
          "[cache][jit][figures]") {
  const TemporaryDirectory root;
  const CacheDirectory cache(root.path());
  const fs::path file = fill(cache);
  const std::string whole = *read_file(file, kMaxEntryBytes);
  // All of them take a minute on a disk.
  const std::size_t step = std::getenv("QKJIT_FIGURES") ? 1 : 97;
  int right = 0, healed = 0, tried = 0;
  const auto heal = [&](const std::string& bytes) {
    std::ofstream(file, std::ios::binary) << bytes;
    JitFixture f(cache);
    ++tried;
    right += code_of(f.obtain()) == "cubin for sm_90" && f.nvrtc->compiles == 1;
    healed += *read_file(file, kMaxEntryBytes) == whole;
  };
  for (std::size_t i = 0; i < whole.size(); i += step) {
    std::string changed = whole;
    changed[i] = static_cast<char>(changed[i] ^ 0x40);
    heal(changed);
    heal(whole.substr(0, i));
  }
  CHECK((right == tried && healed == tried));
  figure("entries damaged, each byte and length", tried);
  figure("of these, right kernels", right);
  figure("of these, healed", healed);
}

TEST_CASE("a damaged file is quarantined, and its place healed", "[cache][jit]") {
  const TemporaryDirectory root;
  const CacheDirectory cache(root.path());
  const fs::path file = fill(cache);
  const std::string whole = *read_file(file, kMaxEntryBytes);
  std::ofstream(file) << "damaged";
  REQUIRE(JitFixture(cache).obtain().has_value());
  CHECK(*read_file(file, kMaxEntryBytes) == whole);
  CHECK(*read_file(file.string() + ".bad", 100) == "damaged");
  fs::remove(file);
  fs::create_directories(file / "full");
  REQUIRE(JitFixture(cache).obtain().has_value());
  CHECK(cache.find(the_key())->has_value());
}

TEST_CASE("what a read-only layer or a remote one gives is copied up", "[cache][jit]") {
  const TemporaryDirectory root;
  const CacheDirectory own(root.path() / "own"), shipped(root.path() / "shipped");
  const fs::path file = fill(shipped);
  auto remote = std::make_shared<Remote>();
  remote->key = the_key().digest(), remote->bytes = *read_file(file, kMaxEntryBytes);

  SECTION("directory") {
    JitFixture f(own);
    f.options.read_only = {shipped};
    f.options.further = {remote};
    CHECK(f.is_at_hand());
    REQUIRE(f.obtain().has_value());
    CHECK(remote->asked == 0);
  }
  SECTION("remote") {
    JitFixture f(own);
    f.options.further = {remote};
    CHECK_FALSE(f.is_at_hand());  // it may take as long as it likes
    CHECK(f.find().error().reason == Reason::compile_pending);
    CHECK(remote->asked == 0);
    REQUIRE(f.obtain().has_value());
    CHECK((remote->asked == 1 && f.opened == 0 && f.jit().counters().cache_hits() == 1));
  }
  JitFixture next(own);
  CHECK(next.obtain().has_value());
  CHECK(next.opened == 0);
  CHECK(*read_file(own.file_of(the_key().digest()), kMaxEntryBytes) == remote->bytes);
}

TEST_CASE("what a remote layer gives is checked like any file", "[cache][jit]") {
  const TemporaryDirectory root;
  const fs::path file = fill(CacheDirectory(root.path()));
  auto remote = std::make_shared<Remote>();
  remote->key = the_key().digest(), remote->bytes = read_file(file, kMaxEntryBytes)->substr(1);
  JitFixture f(std::nullopt);
  f.options.further = {remote};
  CHECK(code_of(f.obtain()) == "cubin for sm_90");
  CHECK(f.jit().counters().cache_rejected == 1);
  REQUIRE(f.warnings.size() == 1);
  CHECK(mentions(f.warnings[0], {"ignored", "remote/", "magic"}));
}

TEST_CASE("another compiler's entry: recompiled in the own directory, where it keeps a place",
          "[cache][jit][toolchain]") {
  const TemporaryDirectory root;
  const CacheDirectory cache(root.path());
  fill_by(cache, "nvrtc-other");
  JitFixture f(cache);
  REQUIRE(f.obtain(kOther).has_value());  // now the compiler is known
  CHECK(code_of(f.obtain()) == "cubin for sm_90");
  CHECK(f.jit().counters().cache_rejected == 0);
  CHECK(f.warnings.empty());
  CHECK(cache.look(the_key(), {"nvrtc-13.9", false}).entry.cubin == "cubin for sm_90");
  CHECK(cache.look(the_key(), {"nvrtc-other", false}).entry.cubin == "cubin by nvrtc-other");
  CHECK(cache.look(the_key(), {"nvrtc-third", false}).found == Found::another_toolchain);
  CHECK(cache.look(the_key(), {"nvrtc-third", true}).found == Found::entry);
  CHECK(cache.list().size() == 3);
}

TEST_CASE(
    "another compiler's entry serves where no compiler is, or may be used, or a bundle has it",
    "[cache][jit][toolchain]") {
  const TemporaryDirectory root;
  const CacheDirectory cache(root.path());
  fill_by(cache, "nvrtc-other");
  SECTION("no compiler") {
    JitFixture f(cache);
    f.nvrtc = nullptr;
    CHECK_FALSE(f.obtain(kOther).has_value());  // now it is known that there is none
    CHECK(code_of(f.obtain()) == "cubin by nvrtc-other");
  }
  SECTION("one that was expected but cannot be opened") {
    JitFixture f(cache);
    f.nvrtc = nullptr;
    f.options.find_compiler = [] { return std::string("/proc/self/exe"); };
    CHECK(code_of(f.obtain()) == "cubin by nvrtc-other");
  }
  SECTION("compiling forbidden") {
    JitFixture f(cache);
    f.options.compile = CompilePolicy::never;
    f.options.find_compiler = [] { return std::string("/proc/self/exe"); };
    CHECK(code_of(f.obtain()) == "cubin by nvrtc-other");
    CHECK(f.opened == 0);
  }
  SECTION("shipped as a bundle") {
    REQUIRE(publish_manifest(root.path(), to_text(contents_of(cache)->bundle), "", 0600));
    JitFixture f(std::nullopt);
    f.options.read_only = {cache};
    REQUIRE(f.obtain(kOther).has_value());
    CHECK(code_of(f.obtain()) == "cubin by nvrtc-other");
  }
  SECTION("shipped without a manifest: the own compiler's is preferred") {
    JitFixture f(std::nullopt);
    f.options.read_only = {cache};
    REQUIRE(f.obtain(kOther).has_value());
    CHECK(code_of(f.obtain()) == "cubin for sm_90");
  }
}

TEST_CASE("memory holds what was used last, within its limit", "[jit]") {
  Recent recent(100);
  CHECK(recent.add("a", 40).empty());
  CHECK(recent.add("b", 40).empty());
  recent.use("a");
  CHECK(recent.add("c", 40) == std::vector<std::string>{"b"});
  CHECK(recent.add("large", 1000) == std::vector<std::string>{"a", "c"});
  CHECK(recent.add("large", 10).empty());
  CHECK(recent.add("d", 90).empty());

  const TemporaryDirectory root;
  JitFixture f{CacheDirectory(root.path())};
  f.options.memory_bytes = 1;
  REQUIRE(f.obtain().has_value());
  REQUIRE(f.obtain(kOther).has_value());
  REQUIRE(f.obtain().has_value());  // from the directory
  CHECK(f.nvrtc->compiles == 2);
  CHECK(f.jit().counters().cache_hits() == 1);
}
