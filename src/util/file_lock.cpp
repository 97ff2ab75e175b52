#include "util/file_lock.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <thread>

#include "util/fork.hpp"

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

/// The open file, which a forked child closes.
class FileLock::File final : ForkListener {
 public:
  /// A child that is forked between open() and the noting of what it gave would keep the file: then
  /// it is opened once more, and only that one is ever locked.
  explicit File(const std::filesystem::path& path) {
    join();
    unsigned forks = 0;
    do {
      close();
      forks = forks_begun();
      fd_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK,
                   S_IRUSR | S_IWUSR);
    } while (forks_begun() != forks);
  }
  ~File() {
    leave();
    close();
  }

  int get() const { return fd_; }

 private:
  void after_fork_in_child() override { close(); }
  void close() {
    if (const int fd = fd_.exchange(-1); fd >= 0) ::close(fd);
  }

  std::atomic<int> fd_{-1};
};

FileLock FileLock::acquire(const std::filesystem::path& path, std::uint64_t byte,
                           std::chrono::milliseconds limit, const std::stop_token& stop) {
  auto file = std::make_unique<File>(path);
  if (file->get() < 0) return unavailable();
  const Clock::time_point end = Clock::now() + limit;
  bool has_waited = false;
  for (Clock::duration pause = 1ms;; pause = std::min<Clock::duration>(2 * pause, 20ms)) {
    const int error = set_lock(file->get(), byte, F_WRLCK);
    if (error == 0) return FileLock(std::move(file), byte, State::held, has_waited);
    if (error != EAGAIN && error != EACCES) return unavailable();
    if (Clock::now() >= end || stop.stop_requested()) {
      return FileLock(std::move(file), byte, State::timed_out, has_waited);
    }
    has_waited = true;
    std::this_thread::sleep_for(pause);
  }
}

FileLock FileLock::unavailable() { return FileLock(nullptr, 0, State::unavailable, false); }

FileLock::FileLock(std::unique_ptr<File> file, std::uint64_t byte, State state, bool has_waited)
    : file_(std::move(file)), byte_(byte), state_(state), has_waited_(has_waited) {}

FileLock::FileLock(FileLock&&) noexcept = default;

/// Explicitly: a program that was started meanwhile by another way than fork() may share the file.
FileLock::~FileLock() {
  if (state_ == State::held && file_) set_lock(file_->get(), byte_, F_UNLCK);
}

}  // namespace qkjit
