#include "tools/qkjit/cache_care.hpp"

#include <algorithm>

#include "cache/care.hpp"
#include "jit/metadata.hpp"
#include "options.hpp"

namespace qkjit {
namespace {

/// What the limit is, in words or as a number.
std::string limit_text(std::uint64_t max_bytes) {
  return max_bytes == kNoSizeLimit ? "unlimited" : fmt::format("{} bytes", max_bytes);
}
nlohmann::json limit_json(std::uint64_t max_bytes) {
  return max_bytes == kNoSizeLimit ? nlohmann::json() : nlohmann::json(max_bytes);
}

/// As examine(), and that it holds a kernel.
Lookup examine_kernel(const CacheDirectory& cache, const std::filesystem::path& file) {
  Lookup lookup = cache.examine(file);
  if (lookup.found != Found::entry) return lookup;
  if (const auto kernel = to_kernel(lookup.entry, ""); !kernel) {
    lookup.found = Found::damaged;
    lookup.problem = file.string() + ": " + kernel.error().message;
  }
  return lookup;
}

}  // namespace

Exit cache_stats(const Console& console, const CacheDirectory& cache) {
  const auto max_bytes = cache_max_bytes(0);
  if (!max_bytes) return report(max_bytes.error());
  const auto files = files_of(cache.path());
  const auto count = [&](CacheFile::Kind kind) {
    return std::ranges::count(files, kind, &CacheFile::kind);
  };
  const auto entries = count(CacheFile::Kind::entry), bad = count(CacheFile::Kind::quarantined),
             temporaries = count(CacheFile::Kind::temporary);
  const std::uint64_t bytes = counted_bytes(files);
  console.print(fmt::format("{}: {} entries, {} damaged, {} unfinished; {} bytes, limit {}",
                            cache.name(), entries, bad, temporaries, bytes,
                            limit_text(*max_bytes)));
  console.print_json({{"schema", "qkjit.cache.stats/1"},
                      {"path", cache.name()},
                      {"entries", entries},
                      {"quarantined", bad},
                      {"temporaries", temporaries},
                      {"bytes", bytes},
                      {"max_bytes", limit_json(*max_bytes)}});
  return Exit::good;
}

Exit cache_verify(const Console& console, const CacheDirectory& cache) {
  if (auto usable = cache.check_usable(); !usable) return report(usable.error());
  std::size_t good = 0;
  nlohmann::json quarantined = nlohmann::json::array(), unreadable = nlohmann::json::array();
  for (const CacheDirectory::File& file : cache.list()) {
    const Lookup lookup = examine_kernel(cache, file.path);
    if (lookup.found == Found::entry) ++good;
    if (lookup.problem.empty()) continue;
    const bool is_damaged = is_rubbish(lookup.found);
    if (is_damaged) cache.quarantine(lookup);
    (is_damaged ? quarantined : unreadable)
        .push_back({{"file", file.path.string()}, {"why", lookup.problem}});
    console.print(fmt::format("{} {}", is_damaged ? "quarantined" : "unreadable", lookup.problem));
  }
  console.print(fmt::format("{}: {} good, {} quarantined, {} unreadable", cache.name(), good,
                            quarantined.size(), unreadable.size()));
  const bool all_good = quarantined.empty() && unreadable.empty();
  console.print_json({{"schema", "qkjit.cache.verify/1"},
                      {"path", cache.name()},
                      {"good", good},
                      {"quarantined", quarantined},
                      {"unreadable", unreadable}});
  return all_good ? Exit::good : Exit::failed;
}

Exit cache_prune(const Console& console, const CacheDirectory& cache, const std::string& max_size) {
  const auto max_bytes = max_size.empty() ? cache_max_bytes(0) : parse_size(max_size);
  if (!max_bytes) return report(max_bytes.error());
  if (auto usable = cache.check_usable(); !usable) return report(usable.error());
  const Pruned pruned = cache.prune(*max_bytes);
  console.print(fmt::format(
      "{}: {} entries, {} damaged and {} unfinished removed, {} bytes; {} bytes are left",
      cache.name(), pruned.entries, pruned.quarantined, pruned.temporaries, pruned.bytes,
      pruned.kept));
  console.print_json({{"schema", "qkjit.cache.prune/1"},
                      {"path", cache.name()},
                      {"max_bytes", limit_json(*max_bytes)},
                      {"removed",
                       {{"entries", pruned.entries},
                        {"quarantined", pruned.quarantined},
                        {"temporaries", pruned.temporaries},
                        {"bytes", pruned.bytes}}},
                      {"bytes", pruned.kept}});
  return pruned.kept <= *max_bytes ? Exit::good : Exit::failed;
}

}  // namespace qkjit
