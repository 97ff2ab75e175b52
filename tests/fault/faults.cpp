#include "tests/fault/faults.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <optional>

namespace qkjit::test {
namespace {

struct Armed {
  std::string_view call;
  int error, nth;
  bool lasting;
  int seen = 0;
};
thread_local std::optional<Armed> armed;

/// Counts a call; whether it fails.
bool fails_now(std::string_view call) {
  if (!armed || armed->call != call) return false;
  ++armed->seen;
  const bool now = armed->lasting ? armed->seen >= armed->nth : armed->seen == armed->nth;
  if (now) errno = armed->error;
  return now;
}

}  // namespace

Fault::Fault(std::string_view call, int error, int nth, bool lasting) {
  armed = Armed{call, error, nth, lasting};
}
Fault::~Fault() { armed.reset(); }
bool Fault::happened() { return armed && armed->seen >= armed->nth; }

}  // namespace qkjit::test

using qkjit::test::armed;
using qkjit::test::fails_now;

extern "C" {

int open(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  if (fails_now("open")) return -1;
  return static_cast<int>(::syscall(SYS_openat, AT_FDCWD, path, flags, mode));
}

ssize_t read(int fd, void* to, size_t size) {
  return fails_now("read") ? -1 : ::syscall(SYS_read, fd, to, size);
}

ssize_t write(int fd, const void* from, size_t size) {
  if (!fails_now("write")) return ::syscall(SYS_write, fd, from, size);
  return armed->error != 0 ? -1 : ::syscall(SYS_write, fd, from, (size + 1) / 2);
}

int fsync(int fd) { return fails_now("fsync") ? -1 : static_cast<int>(::syscall(SYS_fsync, fd)); }

int fstat(int fd, struct stat* status) noexcept {
  return fails_now("fstat") ? -1 : static_cast<int>(::syscall(SYS_fstat, fd, status));
}

int link(const char* from, const char* to) noexcept {
  return fails_now("link") ? -1 : static_cast<int>(::syscall(SYS_link, from, to));
}

int rename(const char* from, const char* to) noexcept {
  return fails_now("rename") ? -1 : static_cast<int>(::syscall(SYS_rename, from, to));
}

/// The descriptor is closed even if the call fails.
int close(int fd) {
  const bool fails = fails_now("close");
  const int error = errno;
  const int result = static_cast<int>(::syscall(SYS_close, fd));
  if (!fails) return result;
  errno = error;
  return -1;
}

int mkdir(const char* path, mode_t mode) noexcept {
  return fails_now("mkdir") ? -1 : static_cast<int>(::syscall(SYS_mkdir, path, mode));
}

int fchmod(int fd, mode_t mode) noexcept {
  return fails_now("fchmod") ? -1 : static_cast<int>(::syscall(SYS_fchmod, fd, mode));
}

int fcntl(int fd, int command, ...) {
  va_list rest;
  va_start(rest, command);
  void* const argument = va_arg(rest, void*);
  va_end(rest);
  if (fails_now("fcntl")) return armed->error != 0 ? -1 : 0;
  return static_cast<int>(::syscall(SYS_fcntl, fd, command, argument));
}
}
