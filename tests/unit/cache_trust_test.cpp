// Only what this user or root wrote, in places where nobody else can write, is read.
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "cache/directory.hpp"
#include "tests/unit/mentions.hpp"
#include "tests/unit/temporary_directory.hpp"
#include "util/trust.hpp"

using namespace qkjit;
namespace fs = std::filesystem;

namespace {

constexpr uid_t kSomeoneElse = 65534;

const Key kKey = Key::of({{"name", "a"}});

void fill(const CacheDirectory& cache) {
  REQUIRE(cache.store(kKey, {kKey.record(), "{}", "cubin", "ptx"}).has_value());
}

/// Whether nothing is read from or written to the directory, for a reason that has every word.
bool is_refused(const fs::path& path, std::initializer_list<std::string_view> words) {
  const CacheDirectory cache(path);
  return fails(cache.check_usable(), Code::cache_io, words) && !cache.has(kKey.digest()) &&
         cache.look(kKey, {}).found == Found::refused &&
         fails(cache.store(kKey, {kKey.record(), "{}", "cubin", "ptx"}), Code::cache_io, words);
}

void set_mode(const fs::path& path, mode_t mode) { REQUIRE(::chmod(path.c_str(), mode) == 0); }

}  // namespace

TEST_CASE("a directory that others can write is not used, and the message says what to do",
          "[cache][trust]") {
  const TemporaryDirectory root;
  const fs::path place = root.path() / "above" / "cache";
  fill(CacheDirectory(place));
  for (const mode_t mode : {0777, 0775, 0757, 01777}) {
    set_mode(place, mode);
    CHECK(is_refused(place, {place.string(), "other users", "chmod go-w"}));
  }
  set_mode(place, 0755);
  CHECK(CacheDirectory(place).find(kKey)->has_value());

  set_mode(root.path() / "above", 0777);
  CHECK(is_refused(place, {(root.path() / "above").string(), "mode 0777"}));
  set_mode(root.path() / "above", 01777);  // as /tmp: nobody can replace what is ours
  CHECK(CacheDirectory(place).find(kKey)->has_value());
}

TEST_CASE("a directory is judged where links lead, and one that does not exist by what is above",
          "[cache][trust]") {
  const TemporaryDirectory root;
  fs::create_directory(root.path() / "open");
  set_mode(root.path() / "open", 0777);
  fs::create_directory_symlink(root.path() / "open", root.path() / "link");
  CHECK(is_refused(root.path() / "link", {"other users"}));
  CHECK(is_refused(root.path() / "open" / "none" / "yet", {"other users"}));
  CHECK_FALSE(fs::exists(root.path() / "open" / "none"));

  fs::create_directory(root.path() / "own");
  fs::create_directory_symlink(root.path() / "own", root.path() / "mine");
  fill(CacheDirectory(root.path() / "mine"));
  CHECK(CacheDirectory(root.path() / "own").find(kKey)->has_value());
}

TEST_CASE("what another user owns is not used", "[cache][trust]") {
  if (::geteuid() != 0) return;  // only root can give files away
  const TemporaryDirectory root;
  const CacheDirectory cache(root.path() / "cache");
  fill(cache);
  const fs::path file = cache.file_of(kKey.digest());
  REQUIRE(::chown(file.c_str(), kSomeoneElse, kSomeoneElse) == 0);
  const Lookup planted = cache.look(kKey, {});
  CHECK(planted.found == Found::untrusted);
  CHECK(mentions(planted.problem, {file.string(), "user 65534"}));
  REQUIRE(::chown(file.c_str(), 0, 0) == 0);
  CHECK(cache.look(kKey, {}).found == Found::entry);

  REQUIRE(::chown(cache.path().c_str(), kSomeoneElse, kSomeoneElse) == 0);
  CHECK(is_refused(cache.path(), {"belongs to user 65534"}));
}

TEST_CASE("a file that others can write, or a link to a good one, is no entry", "[cache][trust]") {
  const TemporaryDirectory root;
  const CacheDirectory cache(root.path() / "cache");
  fill(cache);
  const fs::path file = cache.file_of(kKey.digest());
  for (const mode_t mode : {0666, 0660, 0602}) {
    set_mode(file, mode);
    CHECK(cache.look(kKey, {}).found == Found::untrusted);
  }
  set_mode(file, 0644);
  CHECK(cache.look(kKey, {}).found == Found::entry);

  fs::rename(file, root.path() / "elsewhere");
  for (const fs::path& target : {root.path() / "elsewhere", root.path() / "nowhere"}) {
    fs::create_symlink(target, file);
    const Lookup linked = cache.look(kKey, {});
    CHECK(linked.found == Found::damaged);
    cache.quarantine(linked);
    CHECK_FALSE(fs::is_symlink(file));
  }
  CHECK(fs::exists(root.path() / "elsewhere"));
}

TEST_CASE("a group is private if it is the user's own and has nobody else in it",
          "[cache][trust]") {
  char user_name[] = "anna", other_name[] = "otto";
  char* none[] = {nullptr};
  char* self[] = {user_name, nullptr};
  char* others[] = {user_name, other_name, nullptr};
  passwd user{};
  user.pw_name = user_name, user.pw_uid = 1000, user.pw_gid = 1000;
  group own{};
  own.gr_name = user_name, own.gr_gid = 1000, own.gr_mem = none;
  CHECK(is_private_group(user, own));
  own.gr_mem = self;
  CHECK(is_private_group(user, own));
  own.gr_mem = others;
  CHECK_FALSE(is_private_group(user, own));
  own.gr_mem = none, own.gr_name = other_name;
  CHECK_FALSE(is_private_group(user, own));  // such as "users"
  own.gr_name = user_name, own.gr_gid = 100;
  CHECK_FALSE(is_private_group(user, own));
  user.pw_uid = 0, user.pw_gid = own.gr_gid = 0;
  CHECK_FALSE(is_private_group(user, own));
}

TEST_CASE("with a umask of 002 and a group of one's own, what one made oneself is used",
          "[cache][trust]") {
  const passwd* const user = ::getpwnam("daemon");
  const group* const group = user ? ::getgrgid(user->pw_gid) : nullptr;
  if (::geteuid() != 0 || !group || !is_private_group(*user, *group)) {
    WARN("needs root, and a user `daemon` with a group of that name and no members");
    return;
  }
  const uid_t uid = user->pw_uid;
  const gid_t gid = user->pw_gid;
  const TemporaryDirectory root;
  set_mode(root.path(), 01777);
  const pid_t child = ::fork();
  if (child == 0) {
    if (::setgroups(0, nullptr) != 0 || ::setgid(gid) != 0 || ::setuid(uid) != 0) ::_exit(9);
    ::umask(002);
    fs::create_directories(root.path() / ".cache" / "mine");
    const CacheDirectory cache(root.path() / ".cache" / "mine");
    if (!cache.store(kKey, {kKey.record(), "{}", "cubin", "ptx"})) ::_exit(1);
    if (::chmod(cache.file_of(kKey.digest()).c_str(), 0664) != 0) ::_exit(9);
    if (cache.look(kKey, {}).found != Found::entry) ::_exit(2);
    if (::chmod(cache.path().c_str(), 0777) != 0) ::_exit(9);
    ::_exit(CacheDirectory(cache.path()).check_usable() ? 3 : 0);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(status == 0);
}

TEST_CASE("a process that cannot read an entry leaves it where it is", "[cache][trust]") {
  const TemporaryDirectory root;
  const CacheDirectory cache(root.path() / "cache");
  fill(cache);
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
  rlimit none = before;
  none.rlim_cur = 0;
  // UBSan needs a descriptor when it sees a kind of object first, as fmt's buffers would be below.
  static_cast<void>(fmt::format("{}", before.rlim_max));
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
  const Lookup lookup = cache.look(kKey, {});
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
  CHECK(lookup.found == Found::unreadable);
  CHECK(cache.look(kKey, {}).found == Found::entry);
}

TEST_CASE("a store that the system refuses leaves nothing behind", "[cache]") {
  const TemporaryDirectory root;
  const CacheDirectory cache(root.path());
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &before) == 0);
  rlimit small = before;
  small.rlim_cur = 16;
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &small) == 0);
  const auto stored = cache.store(kKey, {kKey.record(), "{}", std::string(1000, 'c'), "ptx"});
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &before) == 0);
  CHECK(fails(stored, Code::cache_io, {"cannot write", "File too large"}));
  CHECK(fs::is_empty(root.path()));
}
