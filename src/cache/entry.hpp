// The content of one cache file, and its bytes; docs/cache.md has it for other programs.
//
//   entry     = magic version length{5} key metadata cubin ptx toolchain checksum
//   magic     = "QKJITENT"                     ; 8 bytes
//   version   = u32                            ; kEntryVersion, little-endian like all numbers
//   length    = u32                            ; of key, metadata, cubin, ptx, toolchain
//   key       = the key record (key.hpp)
//   metadata  = a record of function, target, variant, compiler, resources (jit/metadata.hpp); for
//               people and tools: what is launched, and how, follows from the key
//   ptx       = a zstd frame of the text (util/packed.hpp): no hit needs it, so it is small to read
//   toolchain = the compiler's identity (is_toolchain())
//   checksum  = XXH3-128 of all before it, in its canonical order
//
// The checksum shows damage and is asked of every hit, so it is the fastest there is. Who wrote an
// entry is told by the directory's owner (util/trust.hpp) or by a bundle's signature (bundle.hpp).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "util/error.hpp"

namespace qkjit {

struct Entry {
  std::string key;
  std::string metadata;
  std::string cubin;
  std::string packed_ptx;
  std::string toolchain = "unknown";  ///< "nvrtc-65be0db342ad51a0"
};

inline constexpr std::uint32_t kEntryVersion = 4;
inline constexpr std::size_t kMaxEntryBytes = 64u << 20;

/// Whether `text` may identify a compiler: it is part of file names. 1 to 64 of a-z 0-9 . _ -,
/// the first no dot.
bool is_toolchain(std::string_view text);

std::string encode(const Entry& entry);

/// Code::cache_io with the cause for anything that is not exactly one entry.
Result<Entry> decode(std::string_view bytes);

}  // namespace qkjit
