// The secret half of a key that signs bundles, and its file.
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "cache/signature.hpp"

namespace qkjit {

/// Wiped from memory when it goes.
class SecretKey {
 public:
  static SecretKey generate();
  /// From a file that create_key_files() wrote, and nobody but its owner can read.
  static Result<SecretKey> read(const std::string& file);

  SecretKey(const SecretKey&) = default;
  SecretKey& operator=(const SecretKey&) = default;
  ~SecretKey();

  PublicKey public_key() const;
  /// The same bytes for the same bytes.
  std::string sign(std::string_view bytes) const;
  /// What is in the secret file.
  std::string text() const;

 private:
  explicit SecretKey(const std::array<unsigned char, 32>& seed);

  std::array<unsigned char, 64> key_;  // the seed and the public key, as libsodium has it
};

/// Writes `file`, readable only by its owner, and file.pub. Neither may exist: a key is never
/// replaced.
Result<void> create_key_files(const SecretKey& key, const std::string& file);

}  // namespace qkjit
