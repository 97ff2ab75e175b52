// What the parser and the model's own operations share.
#pragma once

#include "tools/qkjit/model.hpp"

namespace qkjit {

/// Whether names are unique and every reference resolves to something that fits. Until this has
/// passed, the lookups of Model and place_calls must not be used.
Result<void> check_references(const Model& model);

/// Sets heads, tokens and position_offset of every call from its attention and segments.
void place_calls(Model& model);

}  // namespace qkjit
