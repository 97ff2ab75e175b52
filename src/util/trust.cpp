#include "util/trust.hpp"

#include <sys/auxv.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string_view>

namespace qkjit {
namespace {

constexpr mode_t kOthersMayWrite = S_IWGRP | S_IWOTH;
/// Room for an entry of the user or group database; one that is larger is no user's own group.
constexpr std::size_t kEntryBytes = 16 << 10;

bool is_own_group(gid_t id) {
  std::array<char, kEntryBytes> user_text, group_text;
  passwd user{}, *found_user = nullptr;
  group group{}, *found_group = nullptr;
  return ::getpwuid_r(::geteuid(), &user, user_text.data(), kEntryBytes, &found_user) == 0 &&
         found_user &&
         ::getgrgid_r(id, &group, group_text.data(), kEntryBytes, &found_group) == 0 &&
         found_group && is_private_group(user, group);
}

/// Which of the bits that let others write do so.
mode_t others_may(const struct stat& status) {
  const mode_t mode = status.st_mode & kOthersMayWrite;
  return (mode & S_IWGRP) && is_own_group(status.st_gid) ? mode & ~S_IWGRP : mode;
}

/// Absolute and without links; of what does not exist, as far as it does.
Result<std::string> resolve(const std::filesystem::path& path) {
  const std::unique_ptr<char, decltype(&std::free)> real(::realpath(path.c_str(), nullptr),
                                                         std::free);
  if (real) return std::string(real.get());
  std::error_code error;
  const auto there = std::filesystem::weakly_canonical(path, error);
  const auto resolved = error ? there : std::filesystem::absolute(there, error);
  if (error) return fail(Code::cache_io, "cannot open {}: {}", path.string(), error.message());
  return resolved.string();
}

Result<void> check_ancestor(const struct stat& status, const std::filesystem::path& path) {
  struct stat judged = status;
  if (status.st_mode & S_ISVTX) judged.st_mode &= ~kOthersMayWrite;
  return check_owner(judged, path);
}

}  // namespace

Result<void> check_owner(const struct stat& status, const std::filesystem::path& path) {
  if (status.st_uid != 0 && status.st_uid != ::geteuid()) {
    return fail(Code::cache_io,
                "{} belongs to user {}, this process runs as {}: only that user's own files and "
                "root's are used",
                path.string(), status.st_uid, ::geteuid());
  }
  if (others_may(status)) {
    return fail(Code::cache_io,
                "{} can be written by other users (mode {:04o}): if you trust what is there, use "
                "`chmod go-w`",
                path.string(), status.st_mode & 07777);
  }
  return {};
}

Result<void> check_trusted_directory(const std::filesystem::path& path) {
  const auto resolved = resolve(path);
  if (!resolved) return tl::unexpected(resolved.error());
  for (std::size_t end = 1;; end = std::min(resolved->find('/', end + 1), resolved->size())) {
    const std::string place = resolved->substr(0, end);
    struct stat status {};
    if (::lstat(place.c_str(), &status) != 0) {
      if (errno == ENOENT) return {};
      return fail(Code::cache_io, "cannot open {}: {}", place, std::strerror(errno));
    }
    if (!S_ISDIR(status.st_mode)) return fail(Code::cache_io, "{} is not a directory", place);
    if (end == resolved->size()) return check_owner(status, place);
    if (auto checked = check_ancestor(status, place); !checked) return checked;
  }
}

bool is_private_group(const passwd& user, const group& group) {
  const std::string_view name = user.pw_name;
  if (user.pw_uid == 0 || user.pw_gid != group.gr_gid || name != group.gr_name) return false;
  for (char** member = group.gr_mem; *member; ++member) {
    if (name != *member) return false;
  }
  return true;
}

bool has_elevated_rights() { return ::getauxval(AT_SECURE) != 0; }

}  // namespace qkjit
