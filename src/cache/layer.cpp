#include "cache/layer.hpp"

#include <fmt/format.h>

#include <array>

namespace qkjit {

std::string_view name_of(Found found) {
  constexpr std::array<std::string_view, 8> kNames = {"absent",  "entry",     "another_toolchain",
                                                      "damaged", "untrusted", "unreadable",
                                                      "refused", "off"};
  return kNames[static_cast<std::size_t>(found)];
}

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
  if (wanted.any_toolchain || entry->toolchain == wanted.toolchain) {
    return {.found = Found::entry, .entry = std::move(*entry), .place = place};
  }
  std::string problem = fmt::format("{}: the entry is of {}, this machine's compiler is {}", place,
                                    entry->toolchain, wanted.toolchain);
  return {.found = Found::another_toolchain,
          .entry = std::move(*entry),
          .place = place,
          .problem = std::move(problem)};
}

}  // namespace qkjit
