// The kernels of each spec and device, found without a lock.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstring>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <type_traits>
#include <vector>

#include "kernels/generic_params.cuh"
#include "spec/path.hpp"
#include "table_kernel.hpp"
#include "util/checksum.hpp"
#include "util/fork.hpp"

namespace qkjit {

/// The kernels of a spec, by their choices as in Choices; or why there is none.
struct TableEntry {
  std::deque<TableKernel> kernels;
  NoKernel why_none;
};

/// Thread-safe. Readers see a snapshot through one atomic pointer; writers replace the snapshot and
/// keep the old ones until the table goes, so that no reader ever waits or loses what it looks at.
class KernelTable {
 public:
  /// A device, a process (what is loaded in one is not in a forked child), and the specs of two
  /// streams field by field. Whatever a Spec gets, it is part of the key.
  using Key = std::array<int, 2 + 2 * sizeof(Spec) / sizeof(int)>;
  static_assert(std::has_unique_object_representations_v<Spec>, "all of a Spec tells");

  /// `second`: of a kernel of two streams.
  static Key fused_key(const Spec& spec, int device, const std::optional<Spec>& second = {}) {
    Key key = {device, static_cast<int>(fork_generation())};
    std::memcpy(key.data() + 2, &spec, sizeof(spec));
    if (second) std::memcpy(key.data() + kHashed, &*second, sizeof(*second));
    return key;
  }
  /// head_dim 0 is no spec's.
  static Key generic_key(const GenericKind& kind, int device) {
    const auto forms = static_cast<Layout>(kind.forms);
    return fused_key({.rope_dim = kind.slots, .layout = forms, .dtype = kind.dtype}, device);
  }

  /// Null if the key was never inserted. The entry lives as long as the table.
  const TableEntry* find(const Key& key) const {
    const Snapshot* snapshot = current_.load(std::memory_order_acquire);
    if (!snapshot) return nullptr;
    return (*snapshot)[place_of(*snapshot, key)].entry;
  }

  /// Keeps the entry that is there if the key has one.
  const TableEntry* insert(const Key& key, TableEntry entry) {
    const std::lock_guard lock(mutex_);
    const TableEntry* const present = find(key);
    return present ? present : publish(key, std::move(entry));
  }

  /// Puts the entry in place of the key's, if it has one; that one stays for who has found it.
  const TableEntry* replace(const Key& key, TableEntry entry) {
    const std::lock_guard lock(mutex_);
    return publish(key, std::move(entry));
  }

 private:
  struct Slot {
    Key key;
    const TableEntry* entry = nullptr;  // of a place that is free
  };
  using Snapshot = std::vector<Slot>;  // hashed, a power of two, at most half full

  /// All but the second spec: few pairs share their first.
  static constexpr std::size_t kHashed = 2 + sizeof(Spec) / sizeof(int);

  /// Where the key is, or would come to be.
  static std::size_t place_of(const Snapshot& snapshot, const Key& key) {
    std::size_t place = hash_of({reinterpret_cast<const char*>(key.data()), kHashed * sizeof(int)});
    for (;; ++place) {
      const Slot& slot = snapshot[place &= snapshot.size() - 1];
      if (!slot.entry || slot.key == key) return place;
    }
  }

  const TableEntry* publish(const Key& key, TableEntry entry) {
    entries_.push_back(std::make_unique<const TableEntry>(std::move(entry)));
    auto next = std::make_unique<Snapshot>(std::bit_ceil(2 * entries_.size()));
    const auto put = [&](const Slot& slot) { (*next)[place_of(*next, slot.key)] = slot; };
    if (!snapshots_.empty()) {
      for (const Slot& slot : *snapshots_.back()) {
        if (slot.entry) put(slot);
      }
    }
    put({key, entries_.back().get()});
    current_.store(next.get(), std::memory_order_release);
    snapshots_.push_back(std::move(next));
    return entries_.back().get();
  }

  std::atomic<const Snapshot*> current_{nullptr};
  ForkMutex mutex_;  // guards what follows
  std::vector<std::unique_ptr<const TableEntry>> entries_;
  std::vector<std::unique_ptr<Snapshot>> snapshots_;
};

}  // namespace qkjit
