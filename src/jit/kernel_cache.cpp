#include "jit/kernel_cache.hpp"

#include <algorithm>

#include "jit/metadata.hpp"

namespace qkjit {
namespace {

/// The kernel of what was found. What is an entry but no kernel becomes damaged.
std::optional<Kernel> kernel_of(Lookup& lookup, const Key& key) {
  if (lookup.found != Found::entry) return std::nullopt;
  auto kernel = to_kernel(lookup.entry, key.digest());
  if (kernel) return std::move(*kernel);
  lookup.found = Found::damaged;
  lookup.problem = lookup.place + ": " + kernel.error().message;
  return std::nullopt;
}

}  // namespace

KernelCache::KernelCache(std::optional<CacheDirectory> writable,
                         std::vector<ReadOnlyDirectory> read_only,
                         std::vector<std::shared_ptr<const CacheLayer>> further)
    : writable_(std::move(writable)) {
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

std::optional<CacheHit> KernelCache::find(const Key& key, const Wanted& wanted, Reach reach,
                                          const Warn& warn) const {
  if (auto own = find_own(key, wanted, warn)) return own;
  for (const Layer& one : lower_) {
    if (one.kind == LayerKind::further && reach == Reach::directories) continue;
    Lookup lookup = one.layer->look(key, wanted);
    auto kernel = kernel_of(lookup, key);
    if (!lookup.problem.empty()) warn(lookup);
    if (!kernel) continue;
    // Only where it will be found the next time. Without room for it, it stays where it is.
    const bool is_wanted = wanted.any_toolchain || lookup.entry.toolchain == wanted.toolchain;
    if (writable_ && is_wanted) static_cast<void>(writable_->store(key, lookup.entry));
    return CacheHit{std::move(*kernel), one.kind};
  }
  return std::nullopt;
}

std::optional<CacheHit> KernelCache::find_own(const Key& key, const Wanted& wanted,
                                              const Warn& warn) const {
  if (!writable_) return std::nullopt;
  Lookup lookup = writable_->look(key, wanted);
  auto kernel = kernel_of(lookup, key);
  if (!lookup.problem.empty()) warn(lookup);
  if (lookup.found == Found::damaged) writable_->quarantine(lookup);
  if (!kernel) return std::nullopt;
  writable_->mark_used(lookup);
  return CacheHit{std::move(*kernel), LayerKind::writable};
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
