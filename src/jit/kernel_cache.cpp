#include "jit/kernel_cache.hpp"

#include <algorithm>

#include "jit/metadata.hpp"

namespace qkjit {
namespace {

LayerLookup look_at(const std::shared_ptr<const CacheLayer>& layer, LayerKind kind, const Key& key,
                    const Wanted& wanted) {
  LayerLookup seen{layer, kind, layer->look(key, wanted), std::nullopt};
  if (seen.lookup.found != Found::entry) return seen;
  // Entries are large: copies would take as long as reading them. Key and toolchain stay to be
  // told.
  Entry& entry = seen.lookup.entry;
  auto kernel = to_kernel({{},
                           std::move(entry.metadata),
                           std::move(entry.cubin),
                           std::move(entry.packed_ptx),
                           entry.toolchain},
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
                         std::vector<ReadOnlyDirectory> read_only,
                         std::vector<std::shared_ptr<const CacheLayer>> further) {
  if (writable) writable_ = std::make_shared<const CacheDirectory>(std::move(*writable));
  for (ReadOnlyDirectory& directory : read_only) {
    lower_.push_back(
        {std::make_shared<const ReadOnlyDirectory>(std::move(directory)), LayerKind::read_only});
  }
  for (auto& layer : further) lower_.push_back({std::move(layer), LayerKind::further});
}

bool KernelCache::has(const std::string& digest) const {
  return (writable_ && writable_->has(digest)) ||
         std::ranges::any_of(lower_, [&](const Layer& one) {
           return one.kind != LayerKind::further && one.layer->has(digest);
         });
}

std::vector<LayerLookup> KernelCache::look(const Key& key, const Wanted& wanted,
                                           Reach reach) const {
  std::vector<LayerLookup> seen;
  if (writable_) seen.push_back(look_at(writable_, LayerKind::writable, key, wanted));
  for (const Layer& one : lower_) {
    if (!seen.empty() && seen.back().kernel) break;
    if (one.kind == LayerKind::further && reach == Reach::directories) continue;
    seen.push_back(look_at(one.layer, one.kind, key, wanted));
  }
  return seen;
}

std::optional<CacheHit> KernelCache::find(const Key& key, const Wanted& wanted, Reach reach,
                                          const Missed& missed) const {
  for (LayerLookup& seen : look(key, wanted, reach)) {
    if (auto hit = use(seen, key, wanted, missed)) return hit;
  }
  return std::nullopt;
}

std::optional<CacheHit> KernelCache::find_own(const Key& key, const Wanted& wanted,
                                              const Missed& missed) const {
  if (!writable_) return std::nullopt;
  LayerLookup seen = look_at(writable_, LayerKind::writable, key, wanted);
  return use(seen, key, wanted, missed);
}

std::optional<CacheHit> KernelCache::use(LayerLookup& seen, const Key& key, const Wanted& wanted,
                                         const Missed& missed) const {
  const bool is_own = seen.kind == LayerKind::writable;
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
  return CacheHit{std::move(*seen.kernel), seen.kind};
}

Result<void> KernelCache::store(const Key& key, const Kernel& kernel) const {
  return writable_ ? writable_->store(key, to_entry(kernel, key.record())) : Result<void>{};
}

FileLock KernelCache::lock(const Key& key, std::chrono::milliseconds limit,
                           const std::stop_token& stop) const {
  if (!writable_ || limit.count() == 0) return FileLock::unavailable();
  return writable_->lock(key, limit, stop);
}

}  // namespace qkjit
