#include "util/file_lock.hpp"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <thread>

namespace qkjit {
namespace {

using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

/// 0, or errno.
int set_lock(int fd, std::uint64_t byte, short type) {
  struct flock range {};
  range.l_type = type;
  range.l_whence = SEEK_SET;
  range.l_start = static_cast<off_t>(byte);
  range.l_len = 1;
  while (::fcntl(fd, F_OFD_SETLK, &range) != 0) {
    if (errno != EINTR) return errno;
  }
  return 0;
}

}  // namespace

FileLock FileLock::acquire(const std::filesystem::path& path, std::uint64_t byte,
                           std::chrono::milliseconds limit) {
  Descriptor file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK,
                         S_IRUSR | S_IWUSR));
  if (file.get() < 0) return unavailable();
  const Clock::time_point end = Clock::now() + limit;
  for (Clock::duration pause = 1ms;; pause = std::min<Clock::duration>(2 * pause, 20ms)) {
    const int error = set_lock(file.get(), byte, F_WRLCK);
    if (error == 0) return FileLock(std::move(file), byte, State::held);
    if (error != EAGAIN && error != EACCES) return unavailable();
    if (Clock::now() >= end) return FileLock(std::move(file), byte, State::timed_out);
    std::this_thread::sleep_for(pause);
  }
}

/// Explicitly: a child forked meanwhile shares the open file, and closing it here would not do.
FileLock::~FileLock() {
  if (state_ == State::held && file_.get() >= 0) set_lock(file_.get(), byte_, F_UNLCK);
}

}  // namespace qkjit
