#include "util/trust.hpp"

#include <sys/auxv.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace qkjit {
namespace {

constexpr mode_t kOthersMayWrite = S_IWGRP | S_IWOTH;

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
  if (status.st_mode & kOthersMayWrite) {
    return fail(Code::cache_io,
                "{} can be written by other users (mode {:04o}): if you trust what is there, use "
                "`chmod go-w`",
                path.string(), status.st_mode & 07777);
  }
  return {};
}

Result<void> check_trusted_directory(const std::filesystem::path& path) {
  std::error_code error;
  const auto resolved = std::filesystem::weakly_canonical(path, error);
  if (error) return fail(Code::cache_io, "cannot open {}: {}", path.string(), error.message());
  std::filesystem::path place;
  for (auto part = resolved.begin(); part != resolved.end(); ++part) {
    place /= *part;
    struct stat status {};
    if (::lstat(place.c_str(), &status) != 0) {
      if (errno == ENOENT) return {};
      return fail(Code::cache_io, "cannot open {}: {}", place.string(), std::strerror(errno));
    }
    if (!S_ISDIR(status.st_mode)) {
      return fail(Code::cache_io, "{} is not a directory", place.string());
    }
    const bool is_last = std::next(part) == resolved.end();
    if (auto checked = is_last ? check_owner(status, place) : check_ancestor(status, place);
        !checked) {
      return checked;
    }
  }
  return {};
}

bool has_elevated_rights() { return ::getauxval(AT_SECURE) != 0; }

}  // namespace qkjit
