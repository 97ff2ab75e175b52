// Memory that the driver has already called a device's, so that it is not asked at every launch.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

namespace qkjit {

/// Thread-safe, without a lock. Remembers pages of 2 MiB, the granularity in which the driver maps
/// device memory, and forgets what another page displaces. A page that is freed stays known, so a
/// host pointer that later lies there is not noticed: the check is a courtesy, not a guard.
class DevicePages {
 public:
  bool contains(const void* pointer) const {
    const std::uintptr_t page = page_of(pointer);
    return slot(page).load(std::memory_order_relaxed) == page;
  }
  void add(const void* pointer) {
    const std::uintptr_t page = page_of(pointer);
    slot(page).store(page, std::memory_order_relaxed);
  }

 private:
  static constexpr std::size_t kSlots = 1024;
  using Slot = std::atomic<std::uintptr_t>;

  static std::uintptr_t page_of(const void* pointer) {
    return reinterpret_cast<std::uintptr_t>(pointer) >> 21;
  }
  Slot& slot(std::uintptr_t page) { return slots_[page % kSlots]; }
  const Slot& slot(std::uintptr_t page) const { return slots_[page % kSlots]; }

  std::array<Slot, kSlots> slots_{};  // page 0 is nobody's: null is never looked up
};

}  // namespace qkjit
