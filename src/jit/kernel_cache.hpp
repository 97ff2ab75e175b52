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

/// The layers, of which each is one of these.
enum class LayerKind { writable, read_only, further };

/// How far to look.
enum class Reach {
  directories,  ///< files of this machine, as a rule: some 10 us each
  all,          ///< further layers too, which may take as long as they like
};

/// What a layer has.
struct CacheHit {
  Kernel kernel;
  LayerKind layer;
};

/// The layers in the order in which they are looked up. Thread-safe.
class KernelCache {
 public:
  /// Told of what is passed over because it is damaged or cannot be read.
  using Warn = std::function<void(const Lookup&)>;

  KernelCache(std::optional<CacheDirectory> writable, std::vector<ReadOnlyDirectory> read_only,
              std::vector<std::shared_ptr<const CacheLayer>> further);

  /// In a directory.
  bool has(const std::string& digest) const;

  /// The first good one. From a lower layer it is copied to the writable directory; what is damaged
  /// there is quarantined.
  std::optional<CacheHit> find(const Key& key, const Wanted& wanted, Reach reach,
                               const Warn& warn) const;
  /// The same of the writable directory alone.
  std::optional<CacheHit> find_own(const Key& key, const Wanted& wanted, const Warn& warn) const;

  /// Into the writable directory, if there is one.
  Result<void> store(const Key& key, const Kernel& kernel) const;

  /// See CacheDirectory::lock(); unavailable without a writable directory, or if `limit` is 0.
  FileLock lock(const Key& key, std::chrono::milliseconds limit, const std::stop_token& stop) const;

 private:
  struct Layer {
    std::shared_ptr<const CacheLayer> layer;
    LayerKind kind;
  };

  std::optional<CacheDirectory> writable_;
  std::vector<Layer> lower_;
};

}  // namespace qkjit
