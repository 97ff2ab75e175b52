// Kernels in the layers of the cache.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cache/directory.hpp"
#include "cache/read_only_directory.hpp"
#include "jit/kernel.hpp"

namespace qkjit {

/// The layers in the order in which they are looked up. Thread-safe.
class KernelCache {
 public:
  /// Told of what is passed over because it is damaged or cannot be read.
  using Warn = std::function<void(const Lookup&)>;

  KernelCache(std::optional<CacheDirectory> writable, std::vector<ReadOnlyDirectory> read_only,
              std::vector<std::shared_ptr<const CacheLayer>> further);

  bool has(const std::string& digest) const;

  /// The first good one. From a lower layer it is copied to the writable directory; what is damaged
  /// there is quarantined.
  std::optional<Kernel> find(const Key& key, const Wanted& wanted, const Warn& warn) const;
  /// The same of the writable directory alone.
  std::optional<Kernel> find_own(const Key& key, const Wanted& wanted, const Warn& warn) const;

  /// Into the writable directory, if there is one.
  Result<void> store(const Key& key, const Kernel& kernel) const;

  /// See CacheDirectory::lock(); unavailable without a writable directory, or if `limit` is 0.
  FileLock lock(const Key& key, std::chrono::milliseconds limit) const;

 private:
  std::optional<CacheDirectory> writable_;
  std::vector<std::shared_ptr<const CacheLayer>> lower_;
};

}  // namespace qkjit
