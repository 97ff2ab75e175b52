// Keeping a cache directory small and clean.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "util/error.hpp"

namespace qkjit {

/// A file of the cache as it was when the directory was read.
struct CacheFile {
  enum class Kind { entry, quarantined, temporary };

  std::filesystem::path path;
  Kind kind;
  std::uint64_t bytes;
  std::int64_t modified;  ///< its stamp, seconds since 1970
};

/// All that belongs to the cache, in no order; empty if the directory does not exist.
std::vector<CacheFile> files_of(const std::filesystem::path& directory);

/// Bytes of all but temporaries: what the limit is on.
std::uint64_t counted_bytes(const std::vector<CacheFile>& files);

struct Pruned {
  std::size_t entries = 0, quarantined = 0, temporaries = 0;
  std::uint64_t bytes = 0;  ///< that went
  std::uint64_t kept = 0;   ///< counted_bytes() of the rest
};

/// Removes temporaries older than an hour, damaged files older than a week and, where the files
/// have more than `max_bytes`, first damaged ones and then those least recently used, until `goal`
/// bytes are left. Only one process should do this at a time; a file that was used or replaced
/// since `files` were read stays.
Pruned prune(std::vector<CacheFile> files, std::uint64_t max_bytes, std::uint64_t goal,
             std::int64_t now);

}  // namespace qkjit
