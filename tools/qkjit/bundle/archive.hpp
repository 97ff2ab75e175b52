// Archives by libarchive: tar, compressed with zstd. The only place that knows libarchive.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "util/error.hpp"

struct archive;

namespace qkjit {

struct ArchiveDeleter {
  void operator()(archive* open) const;
};
using ArchiveHandle = std::unique_ptr<archive, ArchiveDeleter>;

/// Makes an archive in memory. The same members give the same bytes: no time, user or mode is in it
/// that comes from outside.
class ArchiveWriter {
 public:
  ArchiveWriter();
  ArchiveWriter(const ArchiveWriter&) = delete;
  ArchiveWriter& operator=(const ArchiveWriter&) = delete;

  void add(const std::string& name, std::string_view bytes);
  /// All of it; nothing can be added afterwards.
  Result<std::string> finish();

 private:
  std::string bytes_;
  ArchiveHandle archive_;
  bool is_good_;
};

/// Reads an archive that may come from anyone, member by member, and writes nothing. Every failure
/// is Code::cache_io.
class ArchiveReader {
 public:
  struct Member {
    std::string name;  ///< as it is in the archive: any bytes
    std::uint64_t size;
  };

  /// A file, or anything else that can be read once from beginning to end.
  static Result<ArchiveReader> open(const std::string& file);

  /// The next member; nothing at the end. Fails for what is no plain file: a link, a directory, a
  /// device, a file with holes.
  Result<std::optional<Member>> next();
  /// The content of the member that next() gave, if it has at most `limit` bytes.
  Result<std::string> read(const Member& member, std::uint64_t limit);

 private:
  explicit ArchiveReader(ArchiveHandle open) : archive_(std::move(open)) {}

  ArchiveHandle archive_;
};

}  // namespace qkjit
