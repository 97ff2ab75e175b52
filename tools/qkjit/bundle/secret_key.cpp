#include "tools/qkjit/bundle/secret_key.hpp"

#include <fcntl.h>
#include <fmt/ranges.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <span>
#include <stdexcept>

#include "util/descriptor.hpp"
#include "util/file.hpp"

namespace qkjit {
namespace {

constexpr std::string_view kPrefix = "qkjit-secret-ed25519:";
constexpr std::size_t kMaxFile = 4096;

using Seed = std::array<unsigned char, crypto_sign_SEEDBYTES>;

const unsigned char* data(std::string_view bytes) {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}

Result<void> create_file(const std::string& file, std::string_view text, mode_t mode) {
  Descriptor created(::open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode));
  if (created.get() < 0 && errno == EEXIST) {
    return fail(Code::cache_io, "{} exists, and a key is never replaced: name another file", file);
  }
  if (created.get() < 0) {
    return fail(Code::cache_io, "cannot create {}: {}", file, std::strerror(errno));
  }
  const bool is_written =
      ::write(created.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()) &&
      ::fsync(created.get()) == 0 && created.close_checked();
  if (is_written) return {};
  const auto failure = fail(Code::cache_io, "cannot write {}: {}", file, std::strerror(errno));
  ::unlink(file.c_str());
  return failure;
}

/// As ssh does: a secret that others can read is none.
Result<void> check_private(const std::string& file) {
  struct stat status {};
  if (::stat(file.c_str(), &status) != 0) {
    return fail(Code::cache_io, "cannot open {}: {}", file, std::strerror(errno));
  }
  if ((status.st_mode & (S_IRWXG | S_IRWXO)) == 0) return {};
  return fail(Code::cache_io,
              "{} can be used by others (mode {:04o}): if it is still a secret, use `chmod 600`",
              file, status.st_mode & 07777);
}

}  // namespace

static_assert(crypto_sign_SECRETKEYBYTES == sizeof(SecretKey));

SecretKey::SecretKey(const std::array<unsigned char, 32>& seed) {
  PublicKey ignored;
  crypto_sign_seed_keypair(ignored.bytes.data(), key_.data(), seed.data());
}

SecretKey::~SecretKey() { sodium_memzero(key_.data(), key_.size()); }

SecretKey SecretKey::generate() {
  if (sodium_init() < 0) throw std::runtime_error("libsodium cannot be initialised");
  Seed seed;
  randombytes_buf(seed.data(), seed.size());
  SecretKey key(seed);
  sodium_memzero(seed.data(), seed.size());
  return key;
}

Result<SecretKey> SecretKey::read(const std::string& file) {
  if (auto secret = check_private(file); !secret) return tl::unexpected(secret.error());
  auto text = read_file(file, kMaxFile);
  if (!text) return tl::unexpected(text.error());
  const std::string_view digits =
      std::string_view(*text).substr(std::min(kPrefix.size(), text->size()));
  Seed seed{};
  std::size_t size = 0;
  const bool is_key = text->starts_with(kPrefix) &&
                      sodium_hex2bin(seed.data(), seed.size(), digits.data(), digits.size(), "\n",
                                     &size, nullptr) == 0 &&
                      size == seed.size();
  SecretKey key(seed);
  sodium_memzero(seed.data(), seed.size());
  sodium_memzero(text->data(), text->size());
  if (is_key) return key;
  return fail(Code::invalid_argument,
              "{} is no secret key: give --key the file that `qkjit cache keygen` made, not the "
              ".pub file",
              file);
}

PublicKey SecretKey::public_key() const {
  PublicKey key;
  crypto_sign_ed25519_sk_to_pk(key.bytes.data(), key_.data());
  return key;
}

std::string SecretKey::sign(std::string_view bytes) const {
  std::string signature(kSignatureBytes, '\0');
  crypto_sign_detached(reinterpret_cast<unsigned char*>(signature.data()), nullptr, data(bytes),
                       bytes.size(), key_.data());
  return signature;
}

std::string SecretKey::text() const {
  const auto seed = std::span(key_).first<crypto_sign_SEEDBYTES>();
  return fmt::format("{}{:02x}\n", kPrefix, fmt::join(seed, ""));
}

Result<void> create_key_files(const SecretKey& key, const std::string& file) {
  if (auto made = create_file(file, key.text(), 0600); !made) return made;
  auto made = create_file(file + ".pub", to_text(key.public_key()) + "\n", 0644);
  if (!made) ::unlink(file.c_str());
  return made;
}

}  // namespace qkjit
