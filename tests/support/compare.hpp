// Comparisons of problems byte by byte, with messages that lead to the kernel's thread.
#pragma once

#include <string>

#include "tests/support/problem.hpp"

namespace qkjit::test {

/// "" if all blocks of both are equal, canaries included; else where the first difference is
/// (tensor, token, head, element), both values, and the configuration. `what` names who made
/// `actual`.
std::string first_difference(const std::string& what, const Problem& expected,
                             const Problem& actual);

/// "" if a call that turned `before` into `after` wrote nothing but rows of its outputs; else the
/// first byte that it should have left alone.
std::string first_stray_write(const Problem& before, const Problem& after);

/// Every element of the outputs in the order token, head, element, whatever the strides.
std::vector<std::byte> gather_outputs(const Problem& problem);

}  // namespace qkjit::test
