// Of the entries that a cache has, the one most like a kernel that it has not, and how they differ.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cache/directory.hpp"
#include "cache/key_record.hpp"

namespace qkjit {

struct NearEntry {
  std::string file;
  std::string record;  ///< its key
};

/// Most like in spec, then in target, then in variant, then in the number of other fields. Reads
/// every entry.
std::optional<NearEntry> near_entry(const std::vector<CacheDirectory>& directories,
                                    const Key& wanted);

/// For people: "target sm_90a, entry has sm_90".
std::string sentence_of(const FieldDifference& difference);

}  // namespace qkjit
