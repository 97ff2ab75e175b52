// Memory that was used once: a new process's is slow at first, at a microsecond a page or more.
#pragma once

#include <atomic>
#include <memory>
#include <string>

namespace qkjit {

/// Has one buffer, or none while someone uses it. Thread-safe, and free of locks, which a fork
/// could leave taken.
class SpareBuffer {
 public:
  SpareBuffer() = default;
  SpareBuffer(const SpareBuffer&) = delete;
  SpareBuffer& operator=(const SpareBuffer&) = delete;
  ~SpareBuffer() { delete spare_.load(); }

  /// With any content.
  std::string take() {
    const std::unique_ptr<std::string> spare(spare_.exchange(nullptr));
    return spare ? std::move(*spare) : std::string();
  }
  /// Keeps it for the next one, unless it is large.
  void give_back(std::string buffer) {
    constexpr std::size_t kMostKept = 256 << 10;
    if (buffer.capacity() <= kMostKept) delete spare_.exchange(new std::string(std::move(buffer)));
  }

 private:
  std::atomic<std::string*> spare_ = nullptr;
};

}  // namespace qkjit
