// XXH3 by xxHash: shows damage at the speed of memory, and nothing of who wrote the bytes.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace qkjit {

/// XXH3-128 in xxHash's canonical order: what `xxh128sum` prints.
using Checksum = std::array<unsigned char, 16>;

Checksum checksum_of(std::string_view bytes);

/// XXH3-64, for tables in memory.
std::uint64_t hash_of(std::string_view bytes);

}  // namespace qkjit
