// Where the dynamic linker would find a library, without loading it.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace qkjit {

/// The file of the first of `candidates` (paths or sonames) that DynamicLibrary::open() would load.
/// Sonames are looked for among what is loaded, in LD_LIBRARY_PATH, and in the linker's cache.
/// Empty if none is found: there may still be one, in a place that only the linker knows.
std::string find_library(std::span<const std::string> candidates);

/// The file of `soname` for this machine in a linker's cache, as `bytes` of /etc/ld.so.cache;
/// empty if it is not there.
std::string find_in_linker_cache(std::string_view bytes, std::string_view soname);

}  // namespace qkjit
