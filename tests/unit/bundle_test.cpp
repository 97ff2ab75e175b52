// Bundles: manifest, signature, the directory that must be signed, and archives that were damaged.
#include <fstream>
#include <set>

#include "cache/read_only_directory.hpp"
#include "jit/metadata.hpp"
#include "tests/unit/jit_fixture.hpp"
#include "tests/unit/mentions.hpp"
#include "tests/unit/temporary_directory.hpp"
#include "tools/qkjit/bundle/export.hpp"
#include "tools/qkjit/bundle/import.hpp"
#include "util/file.hpp"

using namespace qkjit;
using namespace qkjit::test;
namespace fs = std::filesystem;

namespace {

Key key_number(int number) { return Key::of({{"number", std::to_string(number)}}); }

Entry entry_by(const Key& key, const std::string& toolchain) {
  Kernel kernel;
  kernel.entry = std::string("f"), kernel.target = std::string("sm_90");
  kernel.cubin = "code by " + toolchain;
  kernel.toolchain = toolchain;
  return to_entry(kernel, key.record());
}

/// A cache with `count` small entries.
CacheDirectory small_cache(const fs::path& path, int count, const std::string& toolchain = "one") {
  const CacheDirectory cache(path);
  for (int i = 0; i < count; ++i) {
    REQUIRE(cache.store(key_number(i), entry_by(key_number(i), toolchain)).has_value());
  }
  return cache;
}

std::string packed(const CacheDirectory& cache, const std::optional<SecretKey>& key) {
  const auto contents = contents_of(cache);
  REQUIRE(contents.has_value());
  return pack(*contents, key).value();
}

void write(const fs::path& file, std::string_view bytes) {
  std::ofstream(file, std::ios::binary) << bytes;
}

/// A directory with the cache's entries, its manifest and a signature.
void ship(const CacheDirectory& cache, const fs::path& to, const SecretKey& key) {
  write(to.string() + ".bundle", packed(cache, key));
  DirectoryDestination destination(to);
  REQUIRE(import_bundle(to.string() + ".bundle", {key.public_key(), false}, destination));
}

std::string file_text(const fs::path& file) { return *read_file(file, kMaxEntryBytes); }

}  // namespace

TEST_CASE("a public key is text, and nothing else is one", "[bundle]") {
  const SecretKey key = SecretKey::generate();
  const std::string text = to_text(key.public_key());
  CHECK(text.size() == 72);
  CHECK(*parse_public_key(text) == key.public_key());
  CHECK(*parse_public_key(" \n" + text + "\r\n") == key.public_key());
  for (const std::string& bad :
       {std::string(), std::string("ed25519:"), text + "0", text + "00", text.substr(0, 71),
        text.substr(8), text.substr(0, 71) + "g", "rsa" + text, text + " " + text, key.text()}) {
    CHECK(fails(parse_public_key(bad), Code::invalid_argument, {"64 hexadecimal digits"}));
  }
}

TEST_CASE("a signature is of these bytes and by this key", "[bundle]") {
  const SecretKey key = SecretKey::generate();
  const std::string bytes = "some bytes", signature = key.sign(bytes);
  CHECK(signature.size() == kSignatureBytes);
  CHECK(key.sign(bytes) == signature);
  CHECK(is_signed_by(key.public_key(), bytes, signature));
  CHECK_FALSE(is_signed_by(SecretKey::generate().public_key(), bytes, signature));
  CHECK_FALSE(is_signed_by(key.public_key(), bytes + "x", signature));
  CHECK_FALSE(is_signed_by(key.public_key(), bytes, signature + "x"));
  CHECK_FALSE(is_signed_by(key.public_key(), bytes, ""));
  for (std::size_t at = 0; at < signature.size(); ++at) {
    std::string changed = signature;
    changed[at] = static_cast<char>(changed[at] ^ 1);
    CHECK_FALSE(is_signed_by(key.public_key(), bytes, changed));
  }
}

TEST_CASE("Ed25519 as RFC 8032 has it", "[bundle]") {  // section 7.1, TEST 2
  const auto key =
      parse_public_key("ed25519:3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
  REQUIRE(key.has_value());
  const unsigned char signature[] = {
      0x92, 0xa0, 0x09, 0xa9, 0xf0, 0xd4, 0xca, 0xb8, 0x72, 0x0e, 0x82, 0x0b, 0x5f,
      0x64, 0x25, 0x40, 0xa2, 0xb2, 0x7b, 0x54, 0x16, 0x50, 0x3f, 0x8f, 0xb3, 0x76,
      0x22, 0x23, 0xeb, 0xdb, 0x69, 0xda, 0x08, 0x5a, 0xc1, 0xe4, 0x3e, 0x15, 0x99,
      0x6e, 0x45, 0x8f, 0x36, 0x13, 0xd0, 0xf1, 0x1d, 0x8c, 0x38, 0x7b, 0x2e, 0xae,
      0xb4, 0x30, 0x2a, 0xee, 0xb0, 0x0d, 0x29, 0x16, 0x12, 0xbb, 0x0c, 0x00};
  CHECK(is_signed_by(*key, "\x72", std::string_view(reinterpret_cast<const char*>(signature), 64)));
}

TEST_CASE("a manifest says the same after it was written and read", "[bundle]") {
  const TemporaryDirectory root;
  const CacheDirectory cache = small_cache(root.path(), 3);
  const auto contents = contents_of(cache);
  REQUIRE(contents.has_value());
  const auto read = parse_bundle(to_text(contents->bundle));
  REQUIRE(read.has_value());
  CHECK(read->files == contents->bundle.files);
  CHECK(read->made_by == contents->bundle.made_by);
  CHECK(read->files.size() == 3);
  const std::string text = to_text(*read);
  for (std::size_t size = 0; size + 2 < text.size(); ++size) {
    CHECK(fails(parse_bundle(text.substr(0, size)), Code::cache_io, {"no manifest"}));
  }
}

TEST_CASE("of each key a selection has one entry with the plain name", "[bundle]") {
  const TemporaryDirectory root;
  const CacheDirectory cache = small_cache(root.path(), 1, "one");
  small_cache(root.path(), 1, "two");
  CHECK(cache.list().size() == 2);
  CHECK(contents_of(cache)->files.size() == 2);
  for (const std::string toolchain : {"one", "two"}) {
    const auto contents = contents_of(cache, {{}, {toolchain}});
    REQUIRE(contents->files.size() == 1);
    CHECK(contents->bundle.files.begin()->first == key_number(0).digest() + ".qkjit");
    CHECK(contents->bundle.files.begin()->second.toolchain == toolchain);
    CHECK(pack(*contents, std::nullopt).has_value());
  }
}

TEST_CASE("a bundle that was damaged is refused, or harmless", "[bundle][cache]") {
  const TemporaryDirectory root;
  const CacheDirectory cache = small_cache(root.path() / "from", 2);
  const bool is_signed = GENERATE(false, true);
  const SecretKey key = SecretKey::generate();
  const BundleTrust trust{is_signed ? std::optional(key.public_key()) : std::nullopt, !is_signed};
  const std::string whole = packed(cache, is_signed ? std::optional(key) : std::nullopt);
  std::set<std::string> good;
  for (const auto& file : cache.list()) good.insert(file_text(file.path));

  std::size_t refused = 0, taken = 0;
  const auto import_spoiled = [&](const std::string& bytes) {
    const fs::path file = root.path() / "spoiled", to = root.path() / "to";
    write(file, bytes);
    DirectoryDestination destination(to);
    ++(import_bundle(file, trust, destination) ? taken : refused);
    // What is there is what was exported, whatever became of the import.
    for (const auto& entry : CacheDirectory(to).list()) CHECK(good.contains(file_text(entry.path)));
    fs::remove_all(to);
  };
  for (std::size_t at = 0; at < whole.size(); ++at) {
    std::string changed = whole;
    changed[at] = static_cast<char>(changed[at] ^ (1 << at % 8));
    import_spoiled(changed);
  }
  CHECK(refused > whole.size() * 9 / 10);
  taken = 0;
  for (std::size_t size = 0; size < whole.size(); ++size) import_spoiled(whole.substr(0, size));
  // Behind the last member there are only zeros, which may be missing.
  CHECK(taken < 40);
}

TEST_CASE("where a signature is needed, only what it covers is used", "[bundle][cache]") {
  const TemporaryDirectory root;
  const SecretKey key = SecretKey::generate();
  const fs::path shipped = root.path() / "shipped";
  ship(small_cache(root.path() / "from", 2), shipped, key);
  const auto open = [&] { return ReadOnlyDirectory(CacheDirectory(shipped), key.public_key()); };
  const Wanted wanted{"another", false};

  SECTION("good, wherever it lies") {
    fs::permissions(shipped, fs::perms::all);
    const ReadOnlyDirectory directory = open();
    CHECK(directory.check_usable().has_value());
    CHECK(directory.has(key_number(0).digest()));
    CHECK_FALSE(directory.has(key_number(7).digest()));
    CHECK(directory.look(key_number(7), wanted).found == Found::nothing);
    const Lookup lookup = directory.look(key_number(1), wanted);
    CHECK(lookup.found == Found::entry);  // the manifest pins the other toolchain
    CHECK(lookup.entry.cubin == "code by one");
    CHECK_FALSE(ReadOnlyDirectory(CacheDirectory(shipped)).check_usable().has_value());
  }
  SECTION("each byte of an entry") {
    const ReadOnlyDirectory directory = open();
    const fs::path file = CacheDirectory(shipped).file_of(key_number(0).digest());
    const std::string whole = file_text(file);
    for (std::size_t at = 0; at < whole.size(); ++at) {
      std::string changed = whole;
      changed[at] = static_cast<char>(changed[at] ^ 1);
      write(file, changed);
      CHECK(directory.look(key_number(0), wanted).found == Found::damaged);
    }
    write(file, whole + "x");
    CHECK(directory.look(key_number(0), wanted).found == Found::damaged);
  }
  SECTION("another good entry of the same key") {
    small_cache(shipped, 1, "two");
    const Lookup lookup = open().look(key_number(0), {"two", true});
    CHECK(lookup.found == Found::damaged);
    CHECK(mentions(lookup.problem, {"not the entry", "signed"}));
  }
  SECTION("one that the manifest does not name") {
    small_cache(shipped, 3);
    CHECK(open().look(key_number(2), wanted).found == Found::nothing);
  }
  SECTION("each byte of manifest and signature, and without") {
    for (const auto name : {kBundleManifest, kBundleSignature}) {
      const std::string whole = file_text(shipped / name);
      for (std::size_t at = 0; at < whole.size(); ++at) {
        std::string changed = whole;
        changed[at] = static_cast<char>(changed[at] ^ 1);
        write(shipped / name, changed);
        REQUIRE_FALSE(open().check_usable().has_value());
      }
      fs::remove(shipped / name);
      const ReadOnlyDirectory directory = open();
      CHECK_FALSE(directory.has(key_number(0).digest()));
      const Lookup first = directory.look(key_number(0), wanted);
      CHECK(first.found == Found::unreadable);
      CHECK(mentions(first.problem, {"is not used", std::string(name)}));
      CHECK(directory.look(key_number(1), wanted).problem.empty());  // said once
      write(shipped / name, whole);
    }
    CHECK(open().check_usable().has_value());
  }
  SECTION("a link in an entry's place") {
    const fs::path file = CacheDirectory(shipped).file_of(key_number(0).digest());
    fs::rename(file, root.path() / "elsewhere");
    fs::create_symlink(root.path() / "elsewhere", file);
    CHECK(open().look(key_number(0), wanted).found == Found::damaged);
  }
  CHECK(fails(open().store(key_number(0), {}), Code::cache_io, {"only read"}));
}

TEST_CASE("a manifest pins the compilers of what it names", "[bundle][jit][toolchain]") {
  const TemporaryDirectory root;
  const CacheDirectory shipped = small_cache(root.path(), 2, "other");
  const Wanted wanted{"mine", false};
  CHECK(ReadOnlyDirectory(shipped).look(key_number(0), wanted).found == Found::another_toolchain);
  const auto contents = contents_of(shipped);
  REQUIRE(publish_manifest(root.path(), to_text(contents->bundle), "", 0600).has_value());
  CHECK(ReadOnlyDirectory(shipped).look(key_number(0), wanted).found == Found::entry);
  small_cache(root.path(), 1, "third");  // not what the manifest names
  CHECK(ReadOnlyDirectory(shipped).look(key_number(0), wanted).found == Found::another_toolchain);
  write(root.path() / kBundleManifest, "{}");
  const ReadOnlyDirectory broken(shipped);
  CHECK(mentions(broken.look(key_number(1), wanted).problem, {"is not used", "no manifest"}));
  CHECK(broken.look(key_number(1), wanted).found == Found::another_toolchain);
  CHECK(broken.look(key_number(1), {"other", false}).found == Found::entry);
}

TEST_CASE("what is imported into the cache displaces nobody's entries", "[bundle][cache]") {
  const TemporaryDirectory root;
  const CacheDirectory own = small_cache(root.path() / "own", 1, "mine");
  write(root.path() / "bundle",
        packed(small_cache(root.path() / "from", 2, "other"), std::nullopt));
  CacheDestination to(own);
  const auto imported = import_bundle(root.path() / "bundle", {std::nullopt, true}, to);
  REQUIRE(imported.has_value());
  CHECK((imported->entries == 2 && imported->stored == 2 && imported->present == 0));
  CHECK(own.look(key_number(0), {"mine", false}).entry.cubin == "code by mine");
  CHECK(own.look(key_number(0), {"other", false}).entry.cubin == "code by other");
  CHECK(import_bundle(root.path() / "bundle", {std::nullopt, true}, to)->present == 2);
}
