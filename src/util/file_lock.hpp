// A lock between processes, on one byte of a file.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <stop_token>

namespace qkjit {

/// Held from acquire() to destruction, or to the death of the process. An open file description's
/// lock (F_OFD_SETLK): so it also excludes threads of one process. A child shares its parent's open
/// files, and with them the lock: it closes the file when it is forked, else it would hold the lock
/// for as long as it lives when the parent dies. The file is made when needed and never removed: a
/// lock on a file that is gone would exclude nobody.
class FileLock {
 public:
  enum class State {
    held,
    timed_out,    ///< someone else has it
    unavailable,  ///< the file cannot be made, or its file system has no locks
  };

  /// Waits for at most `limit`, and not on when `stop` is requested.
  static FileLock acquire(const std::filesystem::path& file, std::uint64_t byte,
                          std::chrono::milliseconds limit, const std::stop_token& stop = {});
  /// One that nobody can have.
  static FileLock unavailable();

  FileLock(FileLock&&) noexcept;
  FileLock& operator=(FileLock&&) = delete;
  ~FileLock();

  State state() const { return state_; }
  /// Whether someone else had it at first.
  bool has_waited() const { return has_waited_; }

 private:
  class File;

  FileLock(std::unique_ptr<File> file, std::uint64_t byte, State state, bool has_waited);

  std::unique_ptr<File> file_;
  std::uint64_t byte_;
  State state_;
  bool has_waited_;
};

}  // namespace qkjit
