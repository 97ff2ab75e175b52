// BLAKE2b-256 by libsodium.
#pragma once

#include <array>
#include <string>
#include <string_view>

namespace qkjit {

using Digest = std::array<unsigned char, 32>;

Digest digest_of(std::string_view bytes);

std::string hex(const Digest& digest);

}  // namespace qkjit
