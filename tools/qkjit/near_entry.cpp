#include "tools/qkjit/near_entry.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <tuple>

namespace qkjit {
namespace {

/// The items of a list, such as a spec or the options.
std::vector<std::string_view> items_of(std::string_view list) {
  std::vector<std::string_view> items;
  while (!list.empty()) {
    const std::size_t length = std::min(list.find_first_of(",\n"), list.size());
    items.push_back(list.substr(0, length));
    list.remove_prefix(std::min(length + 1, list.size()));
  }
  return items;
}

/// Of the items of `list`, those that `other` does not have.
std::string only_in(std::string_view list, std::string_view other) {
  std::vector<std::string_view> items = items_of(list);
  const std::vector<std::string_view> others = items_of(other);
  std::erase_if(items, [&](std::string_view item) {
    return std::ranges::find(others, item) != others.end();
  });
  return items.empty() ? "none" : fmt::format("{}", fmt::join(items, ","));
}

/// Less for what is nearer.
auto distance(const std::vector<FieldDifference>& differences) {
  const auto differ = [&](std::string_view name) {
    return std::ranges::find(differences, name, &FieldDifference::name) != differences.end();
  };
  return std::tuple(differ("spec") + differ("second_spec"), differ("target"), differ("variant"),
                    differences.size());
}

}  // namespace

std::optional<NearEntry> near_entry(const std::vector<CacheDirectory>& directories,
                                    const Key& wanted) {
  const auto fields = fields_of(wanted.record());
  std::optional<NearEntry> nearest;
  decltype(distance({})) least;
  for (const CacheDirectory& directory : directories) {
    if (!directory.check_usable()) continue;
    for (const CacheDirectory::File& file : directory.list()) {
      Lookup lookup = directory.examine(file.path);
      const auto others = fields_of(lookup.entry.key);
      if (lookup.found != Found::entry || !others) continue;
      const auto differing = differences(*fields, *others);
      if (differing.empty()) continue;  // what keeps it from serving is no field of the key
      if (nearest && distance(differing) >= least) continue;
      least = distance(differing);
      nearest = {file.path.string(), std::move(lookup.entry.key)};
    }
  }
  return nearest;
}

std::string sentence_of(const FieldDifference& difference) {
  const auto [name, wanted, has] = difference;
  if (!wanted.data() || !has.data()) {
    return fmt::format("{}: {} it", name, has.data() ? "only the entry has" : "the entry lacks");
  }
  if (name == "headers") {
    return "headers: their digest differs (entry made by another version of the library)";
  }
  if (name == "source") return "source: its text differs";
  return fmt::format("{} {}, entry has {}", name, only_in(wanted, has), only_in(has, wanted));
}

}  // namespace qkjit
