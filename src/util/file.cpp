#include "util/file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace qkjit {
namespace {

tl::unexpected<Error> io_failure(const char* action, const std::filesystem::path& path) {
  return fail(Code::cache_io, "cannot {} {}: {}", action, path.string(), std::strerror(errno));
}

/// Closes at the end of its scope; close_checked() reports what a late write error says.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }
  bool close_checked() { return ::close(std::exchange(fd_, -1)) == 0; }

 private:
  int fd_;
};

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
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (file.get() < 0) return io_failure("open", path);
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) return io_failure("stat", path);
  if (!S_ISREG(status.st_mode))
    return fail(Code::cache_io, "{} is not a regular file", path.string());
  if (static_cast<std::size_t>(status.st_size) > limit) {
    return fail(Code::cache_io, "{} has {} bytes, more than the {} allowed", path.string(),
                status.st_size, limit);
  }
  std::string bytes(static_cast<std::size_t>(status.st_size), '\0');
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t got = ::read(file.get(), bytes.data() + done, bytes.size() - done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return io_failure("read", path);
    if (got == 0) break;  // became shorter meanwhile
    done += static_cast<std::size_t>(got);
  }
  bytes.resize(done);
  return bytes;
}

Result<void> publish_file(const std::filesystem::path& path, std::string_view bytes, mode_t mode) {
  std::string temporary = path.string() + ".tmp.XXXXXX";
  Descriptor file(::mkostemp(temporary.data(), O_CLOEXEC));  // creates with mode 0600
  if (file.get() < 0) return io_failure("create", temporary);
  const bool written = write_all(file.get(), bytes) && ::fchmod(file.get(), mode) == 0 &&
                       ::fsync(file.get()) == 0 && file.close_checked();
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
