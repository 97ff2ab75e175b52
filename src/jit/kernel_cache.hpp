// Kernels in the layers of the cache.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cache/directory.hpp"
#include "jit/kernel.hpp"

namespace qkjit {

/// What a layer has of a key, its code in `kernel`; what is an entry but no kernel is damaged.
struct LayerLookup {
  std::shared_ptr<const CacheLayer> layer;
  Lookup lookup;
  std::optional<Kernel> kernel;  ///< where an entry was found
};

/// The layers in the order in which they are looked up. Thread-safe.
class KernelCache {
 public:
  /// Told of each layer that does not serve; the lookup has the cause.
  using Missed = std::function<void(const LayerLookup&)>;

  /// `read_only` directories were chosen for this machine, so that entries of any compiler serve
  /// from there; of the others, the wanted one's.
  KernelCache(std::optional<CacheDirectory> writable, std::vector<CacheDirectory> read_only,
              std::vector<std::shared_ptr<const CacheLayer>> further);

  /// What each layer has, up to the first that serves. Changes nothing.
  std::vector<LayerLookup> look(const Key& key, const Wanted& wanted) const;

  /// The first good one. From a lower layer it is copied to the writable directory; rubbish there
  /// is quarantined.
  std::optional<Kernel> find(const Key& key, const Wanted& wanted, const Missed& missed) const;
  /// The same of the writable directory alone.
  std::optional<Kernel> find_own(const Key& key, const Wanted& wanted, const Missed& missed) const;

  /// Into the writable directory, if there is one.
  Result<void> store(const Key& key, const Kernel& kernel) const;

  /// See CacheDirectory::lock(); unavailable without a writable directory, or if `limit` is 0.
  FileLock lock(const Key& key, std::chrono::milliseconds limit) const;

 private:
  struct Layer {
    std::shared_ptr<const CacheLayer> layer;
    bool is_pinned;
  };

  std::optional<Kernel> use(LayerLookup& seen, const Key& key, const Wanted& wanted,
                            const Missed& missed) const;

  std::shared_ptr<const CacheDirectory> writable_;
  std::vector<Layer> lower_;
};

}  // namespace qkjit
