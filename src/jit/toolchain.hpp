// Which compiler made a kernel: the second field of the cache, beside the key.
#pragma once

#include <string>

namespace qkjit {

/// "nvrtc-" and the first 16 digits of the library file's GNU build id, which is another for each
/// build of NVRTC; empty if the file has none. Reads the file's headers and loads nothing.
std::string toolchain_of(const std::string& library_file);

/// The same of an NVRTC that is open; of one without a build id, its version.
std::string toolchain_of(const std::string& library_file, const std::string& version);

}  // namespace qkjit
