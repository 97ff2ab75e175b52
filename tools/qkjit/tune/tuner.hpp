// Measures the variants of a spec at several sizes, and finds which serves which size.
#pragma once

#include <string>
#include <vector>

#include "tools/qkjit/bench/contest.hpp"

namespace qkjit::tune {

/// A variant at one size.
struct Measured {
  Variant variant;
  double microseconds, percent_of_copy;
};

/// All that was measured at one size, the fastest first.
struct SizeResult {
  bench::Case measured;
  std::uint64_t bytes;  ///< of q and k
  std::vector<Measured> variants;

  const Measured* find(const Variant& variant) const;
};

struct SpecResult {
  Spec spec;
  std::vector<SizeResult> sizes;  ///< ascending
  Choices choices;
};

/// The fastest variant of each size, but the one before as long as that is within `tolerance` of
/// it: each further kernel costs its users a compile. The first is staged in registers.
Choices choices_from(const std::vector<SizeResult>& sizes, double tolerance);

/// `cases` are one spec at ascending sizes.
Result<SpecResult> tune_spec(Runtime& runtime, const Workspace& gpu, bench::Contest& contest,
                             const std::vector<bench::Case>& cases, const std::string& target);

}  // namespace qkjit::tune
