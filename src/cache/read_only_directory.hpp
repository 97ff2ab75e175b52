// A layer of the cache that is only read: a directory that someone chose for this machine.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>

#include "cache/bundle.hpp"
#include "cache/directory.hpp"
#include "cache/signature.hpp"

namespace qkjit {

/// Without a public key, the directory is believed for its place (CacheDirectory::check_usable()),
/// and its manifest, if it has one, says of which entries any compiler will do.
///
/// With a key, it is believed for its signature, wherever it lies and whoever can write there: only
/// entries that the signed manifest names are used. What is verified is in memory by then, and is
/// what is used; nothing is read twice. The manifest is read once, when something is looked up
/// first.
///
/// Copies share what they know. Thread-safe.
class ReadOnlyDirectory final : public CacheLayer {
 public:
  ReadOnlyDirectory(CacheDirectory directory, std::optional<PublicKey> key = std::nullopt)
      : directory_(std::move(directory)), key_(key), state_(std::make_shared<State>()) {}

  const std::filesystem::path& path() const { return directory_.path(); }
  std::string name() const override { return directory_.name(); }
  std::vector<CacheDirectory::File> list() const { return directory_.list(); }
  bool needs_signature() const { return key_.has_value(); }

  /// Code::cache_io says why nothing of it is used.
  Result<void> check_usable() const;
  /// Its manifest; without one, and where no signature is needed, empty.
  const Result<Bundle>& bundle() const;

  bool has(const std::string& digest) const override;
  /// The first time that a signature is needed and is not there, the lookup says it.
  Lookup look(const Key& key, const Wanted& wanted) const override;
  /// Always Code::cache_io.
  Result<void> store(const Key& key, const Entry& entry) const override;

 private:
  struct State {
    std::once_flag once;
    Result<Bundle> bundle;
    std::atomic_flag is_told;
  };

  Result<Bundle> read_bundle() const;
  Lookup look_trusted(const Key& key, const Wanted& wanted) const;
  Lookup look_signed(const Key& key, const Wanted& wanted) const;

  CacheDirectory directory_;
  std::optional<PublicKey> key_;
  std::shared_ptr<State> state_;
};

}  // namespace qkjit
