// Where the entries of a bundle go.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "cache/bundle.hpp"
#include "cache/directory.hpp"

namespace qkjit {

class Destination {
 public:
  virtual ~Destination() = default;

  virtual std::string name() const = 0;
  /// Before the first entry.
  virtual Result<void> prepare(const Bundle& bundle) = 0;
  /// An entry that was verified, whole or not at all; false: it was there already.
  virtual Result<bool> put(const std::string& name, const BundleFile& file, const Entry& entry) = 0;
  /// After the last.
  virtual Result<void> finish(std::string_view manifest, std::string_view signature) = 0;
};

/// The writable cache. Its limit holds: what would not fit is refused at the beginning.
class CacheDestination final : public Destination {
 public:
  explicit CacheDestination(CacheDirectory cache) : cache_(std::move(cache)) {}

  std::string name() const override { return cache_.name(); }
  Result<void> prepare(const Bundle& bundle) override;
  Result<bool> put(const std::string& name, const BundleFile& file, const Entry& entry) override;
  /// Nothing: what the process's user trusts enough to import is the user's own from now on.
  Result<void> finish(std::string_view, std::string_view) override { return {}; }

 private:
  CacheDirectory cache_;
};

/// A directory for QKJIT_CACHE_PATH, with the bundle's manifest and signature. The umask says who
/// may read it.
class DirectoryDestination final : public Destination {
 public:
  explicit DirectoryDestination(std::filesystem::path path);

  std::string name() const override { return path_.string(); }
  Result<void> prepare(const Bundle& bundle) override;
  Result<bool> put(const std::string& name, const BundleFile& file, const Entry& entry) override;
  Result<void> finish(std::string_view manifest, std::string_view signature) override;

 private:
  std::filesystem::path path_;
  mode_t mode_;
};

}  // namespace qkjit
