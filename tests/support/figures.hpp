// Figures that tests have to show; bench/reliability.py collects them.
#pragma once

#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace qkjit::test {

/// A line for the script, where it asks for such: other runs of the tests stay quiet.
template <class Value>
void figure(std::string_view name, const Value& value) {
  if (!std::getenv("QKJIT_FIGURES")) return;
  fmt::print("figure\t{}\t{}\n", name, value);
  std::fflush(stdout);  // before a fork
}

}  // namespace qkjit::test
