// One layer of the cache: a directory with a file for each entry.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <memory>
#include <optional>
#include <vector>

#include "cache/care.hpp"
#include "cache/layer.hpp"
#include "cache/spare_buffer.hpp"
#include "util/file_lock.hpp"

namespace qkjit {

inline constexpr std::uint64_t kNoSizeLimit = std::numeric_limits<std::uint64_t>::max();

/// Any number of threads and processes may use the same directory: files appear whole
/// (util/file.hpp) and are never changed. Copies share what they know of it. Nothing is read from
/// or written to a directory that another user could write (util/trust.hpp).
class CacheDirectory final : public CacheLayer {
 public:
  /// Of entries, store() keeps at most `max_bytes`: the least recently used go first.
  explicit CacheDirectory(std::filesystem::path path, std::uint64_t max_bytes = kNoSizeLimit)
      : path_(std::move(path)), max_bytes_(max_bytes), state_(std::make_shared<State>()) {}

  const std::filesystem::path& path() const { return path_; }
  std::uint64_t max_bytes() const { return max_bytes_; }
  std::string name() const override { return path_.string(); }

  /// The place of a key's newest entry.
  std::filesystem::path file_of(const std::string& digest) const;
  /// The place of one that was there before an entry of another compiler came.
  std::filesystem::path file_of(const std::string& digest, const std::string& toolchain) const;

  /// Code::cache_io says why nothing of it is used; good also of one that does not exist yet.
  Result<void> check_usable() const;

  bool has(const std::string& digest) const override;
  Lookup look(const Key& key, const Wanted& wanted) const override;
  /// Creates the directory when needed, and replaces what is there; another compiler's entry keeps
  /// a place.
  Result<void> store(const Key& key, const Entry& entry) const override;

  /// Nothing if there is no such entry; Code::cache_io if there is one that is damaged, unreadable
  /// or another key's.
  Result<std::optional<Entry>> find(const Key& key) const;

  /// Puts rubbish (is_rubbish()) that look() found out of the way, where prune() finds it.
  void quarantine(const Lookup& damaged) const;
  /// Stamps an entry that look() found, unless that was done within the hour.
  void mark_used(const Lookup& used) const;
  /// The right to compile the key, alone in all processes that share the directory. What cannot be
  /// locked need not be: then two may compile the same. Waits as FileLock::acquire() does.
  FileLock lock(const Key& key, std::chrono::milliseconds limit,
                const std::stop_token& stop = {}) const;

  struct File {
    std::filesystem::path path;
    std::uintmax_t bytes;
  };
  /// Entry files by name; empty if the directory does not exist.
  std::vector<File> list() const;

  /// What is in an entry's file, whatever the key: damaged also if another one's name is on it.
  Lookup examine(const std::filesystem::path& file) const;

  /// Makes the directory's files at most `max_bytes`, see prune() in care.hpp; waits for another
  /// that does the same.
  Pruned prune(std::uint64_t max_bytes) const;

  /// Removes entries and the manifest of them, damaged ones and what interrupted writers left;
  /// gives how many entries went.
  Result<std::size_t> clear() const;

 private:
  struct State {
    std::atomic<bool> is_trusted{false};    // for good
    std::atomic<std::uint64_t> may_add{0};  // bytes until the next look at the size
    SpareBuffer spare;                      // what entries are read into
  };

  void keep_other(const Key& key, const Entry& entry) const;
  void keep_within_limit(std::uint64_t added) const;

  std::filesystem::path path_;
  std::uint64_t max_bytes_;
  std::shared_ptr<State> state_;
};

}  // namespace qkjit
