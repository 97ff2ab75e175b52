// Cache entries and directories: a hit is right or it is none, whatever lies in the directory.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include "cache/directory.hpp"
#include "tests/unit/mentions.hpp"
#include "tests/unit/temporary_directory.hpp"
#include "util/file.hpp"

using namespace qkjit;
namespace fs = std::filesystem;

namespace {

Key key_of(const std::string& name) { return Key::of({{"name", name}}); }

Entry entry_of(const Key& key) { return {key.record(), "{}", std::string("\0ELF\n", 5), "ptx"}; }

bool same(const Entry& a, const Entry& b) {
  return a.key == b.key && a.metadata == b.metadata && a.cubin == b.cubin &&
         a.packed_ptx == b.packed_ptx;
}

unsigned mode_of(const fs::path& path) {
  struct stat status {};
  REQUIRE(::stat(path.c_str(), &status) == 0);
  return status.st_mode & 07777;
}

std::size_t files_in(const fs::path& path) {
  return static_cast<std::size_t>(std::distance(fs::directory_iterator(path), {}));
}

}  // namespace

TEST_CASE("an entry reads back as it was written", "[cache]") {
  for (const Entry& entry : {entry_of(key_of("a")), Entry{}, Entry{"", "", "c", ""}}) {
    const auto decoded = decode(encode(entry));
    REQUIRE(decoded.has_value());
    CHECK(same(*decoded, entry));
  }
}

TEST_CASE("an entry with any bit flipped is refused", "[cache]") {
  const std::string bytes = encode(entry_of(key_of("a")));
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string damaged = bytes;
      damaged[i] = static_cast<char>(damaged[i] ^ (1 << bit));
      const auto decoded = decode(damaged);
      if (decoded || decoded.error().code != Code::cache_io) FAIL("byte " << i << " bit " << bit);
    }
  }
}

TEST_CASE("an entry of any other length is refused", "[cache]") {
  const std::string bytes = encode(entry_of(key_of("a")));
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    const std::string cut = bytes.substr(0, length);  // exact allocation: ASan sees a read beyond
    if (decode(cut)) FAIL("length " << length);
  }
  CHECK(fails(decode(bytes.substr(0, 20)), Code::cache_io, {"20 bytes", "cut short"}));
  CHECK(fails(decode(bytes + "x"), Code::cache_io, {"says it has"}));
  CHECK(fails(decode(std::string(100, '\0')), Code::cache_io, {"magic"}));
}

TEST_CASE("a directory gives what was stored in it, and nothing else", "[cache]") {
  const TemporaryDirectory root;
  const CacheDirectory cache(root.path() / "a" / "b");
  const auto missing = cache.find(key_of("a"));
  REQUIRE(missing.has_value());
  CHECK_FALSE(missing->has_value());
  CHECK(cache.list().empty());
  CHECK(cache.clear() == 0u);

  for (const char* name : {"a", "b", "a"}) {
    REQUIRE(cache.store(key_of(name), entry_of(key_of(name))).has_value());
  }
  for (const char* name : {"a", "b"}) {
    const auto found = cache.find(key_of(name));
    REQUIRE((found.has_value() && found->has_value()));
    CHECK(same(**found, entry_of(key_of(name))));
  }
  CHECK(files_in(cache.path()) == 2);  // no temporary is left
  const auto files = cache.list();
  REQUIRE(files.size() == 2);
  CHECK(files[0].path.string() < files[1].path.string());
  CHECK(files[0].bytes == encode(entry_of(key_of("a"))).size());
}

TEST_CASE("only the user may read or write the cache", "[cache]") {
  const TemporaryDirectory root;
  const CacheDirectory cache(root.path() / "a" / "b");
  const mode_t before = ::umask(0);
  const auto stored = cache.store(key_of("a"), entry_of(key_of("a")));
  ::umask(before);
  REQUIRE(stored.has_value());
  CHECK(mode_of(root.path() / "a") == 0700);
  CHECK(mode_of(cache.path()) == 0700);
  CHECK(mode_of(cache.file_of(key_of("a").digest())) == 0600);
}

TEST_CASE("an entry under another key's name is refused", "[cache]") {
  const TemporaryDirectory root;
  const CacheDirectory cache(root.path());
  REQUIRE(cache.store(key_of("a"), entry_of(key_of("a"))).has_value());
  fs::rename(cache.file_of(key_of("a").digest()), cache.file_of(key_of("b").digest()));
  CHECK(fails(cache.find(key_of("b")), Code::cache_io, {"another key's"}));
}

TEST_CASE("what is no regular file at an entry's place neither hangs nor crashes", "[cache]") {
  const TemporaryDirectory root;
  const CacheDirectory cache(root.path());
  const fs::path file = cache.file_of(key_of("a").digest());

  REQUIRE(::mkfifo(file.c_str(), 0600) == 0);
  CHECK(fails(cache.find(key_of("a")), Code::cache_io, {"not a regular file"}));
  CHECK(cache.list().empty());
  REQUIRE(cache.store(key_of("a"), entry_of(key_of("a"))).has_value());
  CHECK(cache.find(key_of("a"))->has_value());
  REQUIRE(cache.clear() == 1u);

  fs::create_directories(file / "full");
  CHECK(fails(cache.find(key_of("a")), Code::cache_io, {"not a regular file"}));
  CHECK(fails(cache.store(key_of("a"), entry_of(key_of("a"))), Code::cache_io, {file.string()}));
  CHECK(cache.list().empty());
  CHECK(files_in(cache.path()) == 1);  // the directory: no temporary is left
}

TEST_CASE("a file too large to be an entry is not read", "[cache]") {
  const TemporaryDirectory root;
  const CacheDirectory cache(root.path());
  const fs::path file = cache.file_of(key_of("a").digest());
  std::ofstream(file).put('x');
  fs::resize_file(file, std::uintmax_t{1} << 40);  // sparse
  CHECK(fails(cache.find(key_of("a")), Code::cache_io, {"1099511627776 bytes", "allowed"}));
}

TEST_CASE("a directory that cannot be made is an error that names it", "[cache]") {
  const TemporaryDirectory root;
  std::ofstream(root.path() / "file").put('x');
  fs::create_symlink("loop", root.path() / "loop");
  for (const fs::path& place :
       {root.path() / "file", root.path() / "file" / "below", root.path() / "loop" / "below",
        fs::path("/proc/qkjit/below"), root.path() / std::string(300, 'x') / "below"}) {
    const CacheDirectory cache(place);
    CHECK(fails(cache.store(key_of("a"), entry_of(key_of("a"))), Code::cache_io,
                {place.parent_path().string()}));
    CHECK(cache.list().empty());
  }
}

TEST_CASE("clear removes entries and what writers left, and nothing else", "[cache]") {
  const TemporaryDirectory root;
  const CacheDirectory cache(root.path());
  REQUIRE(cache.store(key_of("a"), entry_of(key_of("a"))).has_value());
  std::ofstream(cache.file_of(key_of("b").digest()).string() + ".tmp.aBcDeF").put('x');
  std::ofstream(root.path() / "notes.txt").put('x');
  CHECK(cache.list().size() == 1);
  CHECK(cache.clear() == 1u);
  CHECK(files_in(root.path()) == 1);
  CHECK(fs::exists(root.path() / "notes.txt"));
}

TEST_CASE("publishing replaces a file and leaves those who read it the old one", "[cache]") {
  const TemporaryDirectory root;
  const fs::path path = root.path() / "file";
  REQUIRE(publish_file(path, "old").has_value());
  std::ifstream reader(path);
  REQUIRE(publish_file(path, "new").has_value());
  CHECK(std::string(std::istreambuf_iterator<char>(reader), {}) == "old");
  CHECK(*read_file(path, 3) == "new");
  CHECK(fails(read_file(path, 2), Code::cache_io, {"3 bytes", "2 allowed"}));
  CHECK(fails(publish_file(root.path() / "none" / "file", "x"), Code::cache_io, {"create"}));
}
