// An explanation as lines of text and as JSON.
#pragma once

#include "tools/qkjit/console.hpp"
#include "tools/qkjit/explanation.hpp"

namespace qkjit {

/// What holds for every spec: whose entries are looked for, and where. As lines, and as the fields
/// of the document.
nlohmann::json print_place(const Console& console, Jit& jit);

void print(const Console& console, const Explanation& explanation);
nlohmann::json to_json(const Explanation& explanation);

}  // namespace qkjit
