#include "util/hash.hpp"

#include <sodium.h>

#include <new>

namespace qkjit {

namespace {

/// libsodium takes the code that is fastest on this CPU only when it is asked to, and else needs a
/// quarter more time.
void choose_fastest() {
  static const int chosen = sodium_init();
  static_cast<void>(chosen);  // without, the digests are the same
}

}  // namespace

Digest digest_of(std::string_view bytes) {
  choose_fastest();
  Digest digest;
  crypto_generichash(digest.data(), digest.size(),
                     reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), nullptr,
                     0);
  return digest;
}

static_assert(sizeof(crypto_generichash_state) == sizeof(RunningDigest) &&
              alignof(crypto_generichash_state) <= alignof(RunningDigest));

RunningDigest::RunningDigest() {
  choose_fastest();
  auto* const state = new (state_.data()) crypto_generichash_state;
  crypto_generichash_init(state, nullptr, 0, sizeof(Digest));
}

void RunningDigest::add(std::string_view bytes) {
  crypto_generichash_update(reinterpret_cast<crypto_generichash_state*>(state_.data()),
                            reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
}

Digest RunningDigest::digest() const {
  RunningDigest copy = *this;
  Digest digest;
  crypto_generichash_final(reinterpret_cast<crypto_generichash_state*>(copy.state_.data()),
                           digest.data(), digest.size());
  return digest;
}

std::string hex(const Digest& digest) {
  std::string text(2 * digest.size() + 1, '\0');  // it ends its text with a NUL
  sodium_bin2hex(text.data(), text.size(), digest.data(), digest.size());
  text.pop_back();
  return text;
}

}  // namespace qkjit
