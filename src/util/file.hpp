// Files: read whole, and published whole or not at all.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "util/error.hpp"

namespace qkjit {

/// The bytes of a regular file of at most `limit` bytes; Code::cache_io otherwise.
Result<std::string> read_file(const std::filesystem::path& path, std::size_t limit);

/// What was read, and when it was last stamped (touch_file()) or written, in seconds since 1970.
struct FileContent {
  std::string bytes;
  std::int64_t modified;
};

/// Who may have written a file; owner and mode are those of what is opened.
enum class Owner {
  trusted,  ///< only this process's user or root
  anyone,   ///< it is believed for what is in it, by a signature
};

/// Whether what cannot be had may be had later: `no` if so, else what keeps it from ever being so.
enum class Unfit { no, wrong_kind, untrusted };

/// As read_file(), of a file that is reached by no link in the last step. Nothing if there is no
/// file. The content's bytes take the memory of `buffer`, where there is enough.
Result<std::optional<FileContent>> read_plain_file(const std::filesystem::path& path,
                                                   std::size_t limit, Owner owner, Unfit& unfit,
                                                   std::string buffer = {});

/// Stamps a file with the present time; it may fail without consequence.
void touch_file(const std::filesystem::path& path);

/// Makes `path` hold exactly `bytes` for every reader at every moment, also after a crash: a unique
/// temporary file in the same directory, fsync, rename, fsync of the directory. `mode` is the
/// file's, whatever the umask.
Result<void> publish_file(const std::filesystem::path& path, std::string_view bytes,
                          mode_t mode = 0600);

/// The mode that the umask gives to a new file.
mode_t new_file_mode();

/// Creates the directory and its parents, with mode 0700 where they are new.
Result<void> create_private_directory(const std::filesystem::path& path);

}  // namespace qkjit
