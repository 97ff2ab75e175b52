#include "jit/kernel_cache.hpp"

#include "jit/metadata.hpp"

namespace qkjit {
namespace {

LayerLookup look_at(const std::shared_ptr<const CacheLayer>& layer, const Key& key,
                    const Wanted& wanted) {
  LayerLookup seen{layer, layer->look(key, wanted), std::nullopt};
  if (seen.lookup.found != Found::entry) return seen;
  // Entries are large: copies would take as long as reading them.
  Entry& entry = seen.lookup.entry;
  auto kernel = to_kernel(
      {entry.key, entry.metadata, std::move(entry.cubin), std::move(entry.ptx), entry.toolchain},
      key.digest());
  if (kernel) {
    seen.kernel = std::move(*kernel);
  } else {
    seen.lookup.found = Found::damaged;
    seen.lookup.problem = seen.lookup.place + ": " + kernel.error().message;
  }
  return seen;
}

}  // namespace

KernelCache::KernelCache(std::optional<CacheDirectory> writable,
                         std::vector<CacheDirectory> read_only,
                         std::vector<std::shared_ptr<const CacheLayer>> further) {
  if (writable) writable_ = std::make_shared<const CacheDirectory>(std::move(*writable));
  for (CacheDirectory& directory : read_only) {
    lower_.push_back({std::make_shared<const CacheDirectory>(std::move(directory)), true});
  }
  for (auto& layer : further) lower_.push_back({std::move(layer), false});
}

std::vector<LayerLookup> KernelCache::look(const Key& key, const Wanted& wanted) const {
  std::vector<LayerLookup> seen;
  if (writable_) seen.push_back(look_at(writable_, key, wanted));
  for (const Layer& one : lower_) {
    if (!seen.empty() && seen.back().kernel) break;
    const bool any = wanted.any_toolchain || one.is_pinned;
    seen.push_back(look_at(one.layer, key, {wanted.toolchain, any}));
  }
  return seen;
}

std::optional<Kernel> KernelCache::find(const Key& key, const Wanted& wanted,
                                        const Missed& missed) const {
  for (LayerLookup& seen : look(key, wanted)) {
    if (auto kernel = use(seen, key, wanted, missed)) return kernel;
  }
  return std::nullopt;
}

std::optional<Kernel> KernelCache::find_own(const Key& key, const Wanted& wanted,
                                            const Missed& missed) const {
  if (!writable_) return std::nullopt;
  LayerLookup seen = look_at(writable_, key, wanted);
  return use(seen, key, wanted, missed);
}

std::optional<Kernel> KernelCache::use(LayerLookup& seen, const Key& key, const Wanted& wanted,
                                       const Missed& missed) const {
  const bool is_own = seen.layer == writable_;
  if (!seen.kernel) {
    if (is_own && is_rubbish(seen.lookup.found)) writable_->quarantine(seen.lookup);
    missed(seen);
    return std::nullopt;
  }
  if (is_own) {
    writable_->mark_used(seen.lookup);
  } else if (wanted.any_toolchain || seen.kernel->toolchain == wanted.toolchain) {
    // Only where it will be found the next time. Without room for it, it stays where it is.
    static_cast<void>(store(key, *seen.kernel));
  }
  return std::move(seen.kernel);
}

Result<void> KernelCache::store(const Key& key, const Kernel& kernel) const {
  return writable_ ? writable_->store(key, to_entry(kernel, key.record())) : Result<void>{};
}

FileLock KernelCache::lock(const Key& key, std::chrono::milliseconds limit) const {
  if (!writable_ || limit.count() == 0) return FileLock::unavailable();
  return writable_->lock(key, limit);
}

}  // namespace qkjit
