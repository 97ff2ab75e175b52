// Ed25519 signatures, by libsodium: who vouches for a bundle.
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>

#include "util/error.hpp"

namespace qkjit {

struct PublicKey {
  std::array<unsigned char, 32> bytes;

  bool operator==(const PublicKey&) const = default;
};

inline constexpr std::size_t kSignatureBytes = 64;

/// "ed25519:" and 64 hexadecimal digits. The text and no file: there is nothing else to protect.
std::string to_text(const PublicKey& key);

/// What to_text() gives, with white space around it or not; Code::invalid_argument otherwise.
Result<PublicKey> parse_public_key(std::string_view text);

/// Whether the key's owner signed exactly these bytes.
bool is_signed_by(const PublicKey& key, std::string_view bytes, std::string_view signature);

}  // namespace qkjit
