// What the library knows of variants by itself, from measurements.
#pragma once

#include "tuning/choice.hpp"

namespace qkjit {

/// For a spec that supports() calls fused. Any target gets an answer; which ones were measured,
/// builtin.cpp says row by row.
Choices builtin_choices(const Spec& spec, std::string_view target);

}  // namespace qkjit
