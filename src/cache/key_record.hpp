// Records: fields with a name and a value, as text that is injective. Keys and metadata are such.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "util/error.hpp"

namespace qkjit {

/// Both point into the record that they are of.
struct KeyField {
  std::string_view name, value;

  bool operator==(const KeyField&) const = default;
};

/// Adds "name:length:value\n"; no name has a colon. The length keeps apart what would read alike.
void append_field(std::string& record, std::string_view name, std::string_view value);

/// The fields that append_field() wrote, in order; Code::cache_io if `record` is not such text.
Result<std::vector<KeyField>> fields_of(std::string_view record);

/// A field that is not the same in both. Without data: the record does not have it.
struct FieldDifference {
  std::string_view name, wanted, has;
};

/// First those of `wanted`, in its order, then what only `has` has.
std::vector<FieldDifference> differences(const std::vector<KeyField>& wanted,
                                         const std::vector<KeyField>& has);

}  // namespace qkjit
