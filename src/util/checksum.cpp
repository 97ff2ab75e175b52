#include "util/checksum.hpp"

#include <cstring>

#define XXH_INLINE_ALL  // no symbol of it, and nothing to link
#include <xxhash.h>

namespace qkjit {

Checksum checksum_of(std::string_view bytes) {
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, XXH3_128bits(bytes.data(), bytes.size()));
  Checksum checksum;
  static_assert(sizeof(canonical) == sizeof(checksum));
  std::memcpy(checksum.data(), &canonical, sizeof(checksum));
  return checksum;
}

std::uint64_t hash_of(std::string_view bytes) { return XXH3_64bits(bytes.data(), bytes.size()); }

}  // namespace qkjit
