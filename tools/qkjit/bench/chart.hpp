// A bar chart of how near each contender comes to the copy, as SVG. By hand because no SVG library
// is packaged for C++.
#pragma once

#include <array>
#include <string>
#include <vector>

namespace qkjit::bench {

struct ChartSeries {
  std::string name, color;  ///< any CSS color
};

struct ChartRow {
  std::string name;
  std::array<double, 3> percent;  ///< a bar for each series; 0 for none
};

inline constexpr double kPixelsPerPercent = 4;

/// Bars end at 125 %, and a line marks 100 %. On white, so that it can be read on dark pages too.
std::string chart_svg(const std::string& title, const std::array<ChartSeries, 3>& series,
                      const std::vector<ChartRow>& rows);

}  // namespace qkjit::bench
