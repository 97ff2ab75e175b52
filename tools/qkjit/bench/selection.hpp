// Which cases a call of `bench` measures.
#pragma once

#include "tools/qkjit/bench/cases.hpp"

namespace qkjit::bench {

inline constexpr const char* kGroups[] = {"models", "measured", "grid"};

struct Selection {
  std::vector<std::string> groups = {};  ///< of kGroups; empty: all
  std::string name = {};                 ///< part of the names of the cases
  std::string model = {};                ///< only this model's calls; a name or a file.json
  std::string spec = {};                 ///< only this spec, with the sizes below
  std::int64_t tokens = 0;               ///< 0: the default of the mode
  int heads_q = 24, heads_k = 24;
};

/// At least one case, each shape once. Errors name what was not found and the nearest that exists.
Result<std::vector<Case>> select_cases(const Selection& selection);

}  // namespace qkjit::bench
