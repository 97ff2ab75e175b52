// BLAKE2b-256 by libsodium.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace qkjit {

using Digest = std::array<unsigned char, 32>;

Digest digest_of(std::string_view bytes);

/// The digest of text that grows: nothing is hashed twice, however often the digest is asked for.
class RunningDigest {
 public:
  RunningDigest();
  void add(std::string_view bytes);
  Digest digest() const;  ///< of all that was added so far

 private:
  alignas(64) std::array<std::byte, 384> state_;  // libsodium's, whose header stays out of here
};

std::string hex(const Digest& digest);

}  // namespace qkjit
