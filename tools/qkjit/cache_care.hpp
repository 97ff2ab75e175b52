// qkjit cache stats, verify and prune: how much there is, whether it is good, and less of it.
#pragma once

#include <string>

#include "cache/directory.hpp"
#include "tools/qkjit/console.hpp"

namespace qkjit {

Exit cache_stats(const Console& console, const CacheDirectory& cache);

/// Reads every entry, and quarantines what is damaged.
Exit cache_verify(const Console& console, const CacheDirectory& cache);

/// `max_size` as QKJIT_CACHE_MAX_SIZE; empty: that.
Exit cache_prune(const Console& console, const CacheDirectory& cache, const std::string& max_size);

}  // namespace qkjit
