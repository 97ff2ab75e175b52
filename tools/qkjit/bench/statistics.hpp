// Medians, percentiles and means of measured times.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

namespace qkjit::bench {

/// The value at `fraction` of the sorted values (0.5 is the median), always one that was measured.
/// `values` must not be empty.
inline double percentile(std::vector<double> values, double fraction) {
  const auto last = static_cast<double>(values.size() - 1);
  const auto at = values.begin() + std::lround(fraction * last);
  std::ranges::nth_element(values, at);
  return *at;
}

inline double median(std::vector<double> values) { return percentile(std::move(values), 0.5); }

/// Of positive values; 0 if there are none.
inline double geometric_mean(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += std::log(value);
  return values.empty() ? 0 : std::exp(sum / static_cast<double>(values.size()));
}

}  // namespace qkjit::bench
