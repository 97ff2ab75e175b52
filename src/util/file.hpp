// Files: read whole, and published whole or not at all.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>

#include "util/error.hpp"

namespace qkjit {

/// The bytes of a regular file of at most `limit` bytes; Code::cache_io otherwise.
Result<std::string> read_file(const std::filesystem::path& path, std::size_t limit);

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
