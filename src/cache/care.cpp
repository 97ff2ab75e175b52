#include "cache/care.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <optional>

#include "cache/names.hpp"

namespace qkjit {
namespace {

/// Longer than any publish takes.
constexpr std::int64_t kTemporaryAge = 60 * 60;
/// Time enough to look at what was damaged.
constexpr std::int64_t kQuarantineAge = 7 * 24 * 60 * 60;

std::optional<CacheFile::Kind> kind_of(std::string_view name) {
  if (is_entry_name(name)) return CacheFile::Kind::entry;
  if (is_quarantine_name(name)) return CacheFile::Kind::quarantined;
  if (is_temporary_name(name)) return CacheFile::Kind::temporary;
  return std::nullopt;
}

bool is_unchanged(const CacheFile& file) {
  struct stat status {};
  return ::lstat(file.path.c_str(), &status) == 0 && status.st_mtim.tv_sec == file.modified;
}

bool is_too_old(const CacheFile& file, std::int64_t now) {
  const std::int64_t age = now - file.modified;
  return (file.kind == CacheFile::Kind::temporary && age >= kTemporaryAge) ||
         (file.kind == CacheFile::Kind::quarantined && age >= kQuarantineAge);
}

/// A quarantined directory may have content.
bool remove(const CacheFile& file) {
  if (::unlink(file.path.c_str()) == 0) return true;
  if (file.kind != CacheFile::Kind::quarantined) return false;
  std::error_code error;
  return std::filesystem::remove_all(file.path, error) > 0 && !error;
}

}  // namespace

std::vector<CacheFile> files_of(const std::filesystem::path& directory) {
  std::vector<CacheFile> files;
  std::error_code error;
  for (const auto& item : std::filesystem::directory_iterator(directory, error)) {
    const auto kind = kind_of(item.path().filename().native());
    struct stat status {};
    if (!kind || ::lstat(item.path().c_str(), &status) != 0) continue;
    if (*kind != CacheFile::Kind::quarantined && !S_ISREG(status.st_mode)) continue;
    files.push_back(
        {item.path(), *kind, static_cast<std::uint64_t>(status.st_size), status.st_mtim.tv_sec});
  }
  return files;
}

std::uint64_t counted_bytes(const std::vector<CacheFile>& files) {
  std::uint64_t bytes = 0;
  for (const CacheFile& file : files) {
    if (file.kind != CacheFile::Kind::temporary) bytes += file.bytes;
  }
  return bytes;
}

Pruned prune(std::vector<CacheFile> files, std::uint64_t max_bytes, std::uint64_t goal,
             std::int64_t now) {
  Pruned pruned;
  pruned.kept = counted_bytes(files);
  const auto take = [&](const CacheFile& file) {
    if (!is_unchanged(file) || !remove(file)) return false;
    pruned.bytes += file.bytes;
    if (file.kind != CacheFile::Kind::temporary) pruned.kept -= file.bytes;
    ++(file.kind == CacheFile::Kind::entry         ? pruned.entries
       : file.kind == CacheFile::Kind::quarantined ? pruned.quarantined
                                                   : pruned.temporaries);
    return true;
  };
  std::erase_if(files, [&](const CacheFile& file) { return is_too_old(file, now) && take(file); });
  if (pruned.kept <= max_bytes) return pruned;

  std::erase_if(files,
                [](const CacheFile& file) { return file.kind == CacheFile::Kind::temporary; });
  // A stamp in the future is a clock's error: it counts as now, or its file would stay for ever.
  std::ranges::sort(files, {}, [&](const CacheFile& file) {
    return std::pair(file.kind == CacheFile::Kind::entry, std::min(file.modified, now));
  });
  for (const CacheFile& file : files) {
    if (pruned.kept <= goal) break;
    take(file);
  }
  return pruned;
}

}  // namespace qkjit
