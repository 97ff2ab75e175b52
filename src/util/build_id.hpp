// The identity of a library's build, read from its file.
#pragma once

#include <filesystem>
#include <string>

namespace qkjit {

/// The GNU build id of a 64-bit ELF file in hexadecimal; empty if the file cannot be read, is no
/// such file or has none.
std::string build_id(const std::filesystem::path& file);

}  // namespace qkjit
