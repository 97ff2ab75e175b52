#include "cache/signature.hpp"

#include <fmt/ranges.h>
#include <sodium.h>

#include <algorithm>

namespace qkjit {
namespace {

constexpr std::string_view kPrefix = "ed25519:";

static_assert(crypto_sign_PUBLICKEYBYTES == sizeof(PublicKey) &&
              crypto_sign_BYTES == kSignatureBytes);

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  text.remove_prefix(std::min(text.find_first_not_of(kSpace), text.size()));
  return text.substr(0, text.find_last_not_of(kSpace) + 1);
}

const unsigned char* data(std::string_view bytes) {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}

}  // namespace

std::string to_text(const PublicKey& key) {
  return fmt::format("{}{:02x}", kPrefix, fmt::join(key.bytes, ""));
}

Result<PublicKey> parse_public_key(std::string_view text) {
  const std::string_view given = trimmed(text);
  PublicKey key;
  std::size_t size = 0;
  const char* end = nullptr;
  if (given.starts_with(kPrefix)) {
    const std::string_view digits = given.substr(kPrefix.size());
    if (sodium_hex2bin(key.bytes.data(), key.bytes.size(), digits.data(), digits.size(), nullptr,
                       &size, &end) == 0 &&
        size == key.bytes.size() && end == digits.data() + digits.size()) {
      return key;
    }
  }
  // It may be a secret that was given by mistake: it is not repeated.
  return fail(Code::invalid_argument,
              "a public key of {} characters is given: needed is \"ed25519:\" and 64 hexadecimal "
              "digits, as `qkjit cache keygen` writes to its .pub file",
              given.size());
}

bool is_signed_by(const PublicKey& key, std::string_view bytes, std::string_view signature) {
  return signature.size() == kSignatureBytes &&
         crypto_sign_verify_detached(data(signature), data(bytes), bytes.size(),
                                     key.bytes.data()) == 0;
}

}  // namespace qkjit
