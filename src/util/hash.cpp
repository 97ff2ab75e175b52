#include "util/hash.hpp"

#include <sodium.h>

namespace qkjit {

namespace {

/// libsodium takes the code that is fastest on this CPU only when it is asked to, and else needs a
/// quarter more time. Asking takes as long as some hundred keys.
constexpr std::size_t kWorthAsking = 64 << 10;

void choose_fastest() {
  static const int chosen = sodium_init();
  static_cast<void>(chosen);  // without, the digests are the same
}

}  // namespace

Digest digest_of(std::string_view bytes) {
  if (bytes.size() >= kWorthAsking) choose_fastest();
  Digest digest;
  crypto_generichash(digest.data(), digest.size(),
                     reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), nullptr,
                     0);
  return digest;
}

std::string hex(const Digest& digest) {
  std::string text(2 * digest.size() + 1, '\0');  // it ends its text with a NUL
  sodium_bin2hex(text.data(), text.size(), digest.data(), digest.size());
  text.pop_back();
  return text;
}

}  // namespace qkjit
