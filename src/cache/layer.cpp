#include "cache/layer.hpp"

namespace qkjit {

Lookup judge(std::string_view bytes, const std::string& place, const Key& key,
             const Wanted& wanted) {
  auto entry = decode(bytes);
  if (!entry) {
    return {
        .found = Found::damaged, .place = place, .problem = place + ": " + entry.error().message};
  }
  if (entry->key != key.record()) {
    return {
        .found = Found::damaged, .place = place, .problem = place + ": the entry is another key's"};
  }
  const bool is_wanted = wanted.any_toolchain || entry->toolchain == wanted.toolchain;
  return {.found = is_wanted ? Found::entry : Found::another_toolchain,
          .entry = std::move(*entry),
          .place = place};
}

}  // namespace qkjit
