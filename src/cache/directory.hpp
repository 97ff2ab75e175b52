// One layer of the cache: a directory with a file for each entry.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <vector>

#include "cache/entry.hpp"
#include "cache/key.hpp"

namespace qkjit {

/// Holds no state but its path, so any number of threads and processes may use the same directory:
/// files appear whole (util/file.hpp) and are never changed.
class CacheDirectory {
 public:
  explicit CacheDirectory(std::filesystem::path path) : path_(std::move(path)) {}

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path file_of(const std::string& digest) const;

  /// Whether there is a file for it, good or not.
  bool has(const std::string& digest) const;

  /// Nothing if there is no such entry; Code::cache_io if there is one that is damaged, unreadable
  /// or another key's.
  Result<std::optional<Entry>> find(const Key& key) const;

  /// Creates the directory when needed, and replaces what is there.
  Result<void> store(const Key& key, const Entry& entry) const;

  struct File {
    std::filesystem::path path;
    std::uintmax_t bytes;
  };
  /// Entry files by name; empty if the directory does not exist.
  std::vector<File> list() const;

  /// Removes entries and what interrupted writers left; returns how many entries went.
  Result<std::size_t> clear() const;

 private:
  std::filesystem::path path_;
};

}  // namespace qkjit
