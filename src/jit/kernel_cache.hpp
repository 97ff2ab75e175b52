// Kernels in the layers of the cache.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
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

/// What a layer has of a key, its code in `kernel`; what is an entry but no kernel is damaged.
struct LayerLookup {
  std::shared_ptr<const CacheLayer> layer;
  LayerKind kind = LayerKind::writable;
  Lookup lookup;
  std::optional<Kernel> kernel;  ///< where an entry was found
};

/// What serves, and whence.
struct CacheHit {
  Kernel kernel;
  LayerKind layer;
};

/// The layers in the order in which they are looked up. Thread-safe.
class KernelCache {
 public:
  /// Told of each layer that does not serve; the lookup has the cause.
  using Missed = std::function<void(const LayerLookup&)>;

  KernelCache(std::optional<CacheDirectory> writable, std::vector<ReadOnlyDirectory> read_only,
              std::vector<std::shared_ptr<const CacheLayer>> further);

  /// Whether a directory has something for the key, good or not; cheap.
  bool has(const std::string& digest) const;

  /// What each layer has, up to the first that serves. Changes nothing.
  std::vector<LayerLookup> look(const Key& key, const Wanted& wanted, Reach reach) const;

  /// The first good one. From a lower layer it is copied to the writable directory; rubbish there
  /// is quarantined.
  std::optional<CacheHit> find(const Key& key, const Wanted& wanted, Reach reach,
                               const Missed& missed) const;
  /// The same of the writable directory alone.
  std::optional<CacheHit> find_own(const Key& key, const Wanted& wanted,
                                   const Missed& missed) const;

  /// Into the writable directory, if there is one.
  Result<void> store(const Key& key, const Kernel& kernel) const;

  /// See CacheDirectory::lock(); unavailable without a writable directory, or if `limit` is 0.
  FileLock lock(const Key& key, std::chrono::milliseconds limit, const std::stop_token& stop) const;

 private:
  struct Layer {
    std::shared_ptr<const CacheLayer> layer;
    LayerKind kind;
  };

  std::optional<CacheHit> use(LayerLookup& seen, const Key& key, const Wanted& wanted,
                              const Missed& missed) const;

  std::shared_ptr<const CacheDirectory> writable_;
  std::vector<Layer> lower_;
};

}  // namespace qkjit
