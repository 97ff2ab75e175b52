#include "util/file.hpp"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "util/descriptor.hpp"
#include "util/trust.hpp"

namespace qkjit {
namespace {

tl::unexpected<Error> io_failure(const char* action, const std::filesystem::path& path) {
  return fail(Code::cache_io, "cannot {} {}: {}", action, path.string(), std::strerror(errno));
}

constexpr int kReading = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;

Result<struct stat> status_of(int fd, const std::filesystem::path& path) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) return io_failure("stat", path);
  return status;
}

/// Whether it is a regular file of at most `limit` bytes.
Result<void> check_regular(const struct stat& status, const std::filesystem::path& path,
                           std::size_t limit) {
  if (!S_ISREG(status.st_mode))
    return fail(Code::cache_io, "{} is not a regular file", path.string());
  if (static_cast<std::size_t>(status.st_size) > limit) {
    return fail(Code::cache_io, "{} has {} bytes, more than the {} allowed", path.string(),
                status.st_size, limit);
  }
  return {};
}

/// Into `bytes`, whose memory serves where it is enough.
Result<std::string> read_all(int fd, const std::filesystem::path& path, const struct stat& status,
                             std::string bytes = {}) {
  bytes.resize(static_cast<std::size_t>(status.st_size));
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t got = ::read(fd, bytes.data() + done, bytes.size() - done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return io_failure("read", path);
    if (got == 0) break;  // became shorter meanwhile
    done += static_cast<std::size_t>(got);
  }
  bytes.resize(done);
  return bytes;
}

/// Whether the process may write a file so large; one that tries to is killed by SIGXFSZ.
bool is_within_limit(std::size_t bytes) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_FSIZE, &limit) != 0 || bytes <= limit.rlim_cur) return true;
  errno = EFBIG;
  return false;
}

bool write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

Result<void> sync_directory(const std::filesystem::path& path) {
  const Descriptor directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.get() < 0 || ::fsync(directory.get()) != 0) return io_failure("sync", path);
  return {};
}

}  // namespace

Result<std::string> read_file(const std::filesystem::path& path, std::size_t limit) {
  const Descriptor file(::open(path.c_str(), kReading));
  if (file.get() < 0) return io_failure("open", path);
  const auto status = status_of(file.get(), path);
  if (!status) return tl::unexpected(status.error());
  if (auto regular = check_regular(*status, path, limit); !regular) {
    return tl::unexpected(regular.error());
  }
  return read_all(file.get(), path, *status);
}

Result<std::optional<FileContent>> read_plain_file(const std::filesystem::path& path,
                                                   std::size_t limit, Owner owner, Unfit& unfit,
                                                   std::string buffer) {
  unfit = Unfit::no;
  const Descriptor file(::open(path.c_str(), kReading | O_NOFOLLOW));
  if (file.get() < 0) {
    if (errno == ENOENT) return std::nullopt;
    if (errno == ELOOP || errno == ENXIO) unfit = Unfit::wrong_kind;  // a link, a socket
    return io_failure("open", path);
  }
  const auto status = status_of(file.get(), path);
  if (!status) return tl::unexpected(status.error());
  if (auto regular = check_regular(*status, path, limit); !regular) {
    unfit = Unfit::wrong_kind;
    return tl::unexpected(regular.error());
  }
  if (auto owned = check_owner(*status, path); owner == Owner::trusted && !owned) {
    unfit = Unfit::untrusted;
    return tl::unexpected(owned.error());
  }
  auto bytes = read_all(file.get(), path, *status, std::move(buffer));
  if (!bytes) return tl::unexpected(bytes.error());
  return FileContent{std::move(*bytes), status->st_mtim.tv_sec};
}

void touch_file(const std::filesystem::path& path) {
  const timespec times[] = {{0, UTIME_OMIT}, {0, UTIME_NOW}};
  static_cast<void>(::utimensat(AT_FDCWD, path.c_str(), times, AT_SYMLINK_NOFOLLOW));
}

Result<void> publish_file(const std::filesystem::path& path, std::string_view bytes, mode_t mode) {
  std::string temporary = path.string() + ".tmp.XXXXXX";
  Descriptor file(::mkostemp(temporary.data(), O_CLOEXEC));  // creates with mode 0600
  if (file.get() < 0) return io_failure("create", temporary);
  const bool written = is_within_limit(bytes.size()) && write_all(file.get(), bytes) &&
                       ::fchmod(file.get(), mode) == 0 && ::fsync(file.get()) == 0 &&
                       file.close_checked();
  if (!written || ::rename(temporary.c_str(), path.c_str()) != 0) {
    const auto failure = io_failure("write", path);
    ::unlink(temporary.c_str());
    return failure;
  }
  return sync_directory(path.has_parent_path() ? path.parent_path() : ".");
}

mode_t new_file_mode() {
  const mode_t mask = ::umask(0);
  ::umask(mask);
  return 0666 & ~mask;
}

Result<void> create_private_directory(const std::filesystem::path& path) {
  std::error_code ignored;  // mkdir() says what is wrong
  if (path.has_parent_path() && !std::filesystem::exists(path.parent_path(), ignored)) {
    if (auto parent = create_private_directory(path.parent_path()); !parent) return parent;
  }
  if (::mkdir(path.c_str(), 0700) == 0) return {};
  if (errno == EEXIST && std::filesystem::is_directory(path, ignored)) return {};
  return io_failure("create directory", path);
}

}  // namespace qkjit
