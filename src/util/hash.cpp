#include "util/hash.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sodium.h>

namespace qkjit {

Digest digest_of(std::string_view bytes) {
  Digest digest;
  crypto_generichash(digest.data(), digest.size(),
                     reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), nullptr,
                     0);
  return digest;
}

std::string hex(const Digest& digest) { return fmt::format("{:02x}", fmt::join(digest, "")); }

}  // namespace qkjit
