// A lock between processes, on one byte of a file.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>

#include "util/descriptor.hpp"

namespace qkjit {

/// Held from acquire() to destruction, or to the death of the process. An open file description's
/// lock (F_OFD_SETLK): so it also excludes threads of one process. The file is made when needed and
/// never removed: a lock on a file that is gone would exclude nobody.
class FileLock {
 public:
  enum class State {
    held,
    timed_out,    ///< someone else has it
    unavailable,  ///< the file cannot be made, or its file system has no locks
  };

  /// Waits for at most `limit`.
  static FileLock acquire(const std::filesystem::path& file, std::uint64_t byte,
                          std::chrono::milliseconds limit);
  /// One that nobody can have.
  static FileLock unavailable() { return FileLock(Descriptor(-1), 0, State::unavailable); }

  FileLock(FileLock&&) noexcept = default;
  FileLock& operator=(FileLock&&) = delete;
  ~FileLock();

  State state() const { return state_; }

 private:
  FileLock(Descriptor file, std::uint64_t byte, State state)
      : file_(std::move(file)), byte_(byte), state_(state) {}

  Descriptor file_;
  std::uint64_t byte_;
  State state_;
};

}  // namespace qkjit
