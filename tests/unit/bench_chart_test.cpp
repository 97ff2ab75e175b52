// The chart: well-formed XML whose bars are as long as their numbers say.
#include "tools/qkjit/bench/chart.hpp"

#include <fmt/format.h>

#include <regex>

#include "tests/catch.hpp"

using namespace qkjit::bench;

namespace {

const std::array<ChartSeries, 3> kSeries = {{{"one", "red"}, {"two", "green"}, {"three", "blue"}}};

/// Whether every element is closed, in order, and every & begins an entity.
bool well_formed(const std::string& svg) {
  std::vector<std::string> open;
  static const std::regex kTag(R"(<(/?)([a-z]+)((?: [A-Za-z0-9:-]+="[^"<>&]*")*)(/?)>|([^<]+))");
  std::size_t at = 0;
  for (std::sregex_iterator tag(svg.begin(), svg.end(), kTag), end; tag != end; ++tag) {
    if (static_cast<std::size_t>(tag->position()) != at) return false;
    at += static_cast<std::size_t>(tag->length());
    const std::string text = (*tag)[5];
    if (std::regex_search(text, std::regex("[>]|&(?!amp;|lt;|gt;)"))) return false;
    if (!text.empty()) continue;
    if ((*tag)[1].length() > 0) {
      if (open.empty() || open.back() != (*tag)[2]) return false;
      open.pop_back();
    } else if ((*tag)[4].length() == 0) {
      open.push_back((*tag)[2]);
    }
  }
  return at == svg.size() && open.empty();
}

std::vector<double> widths(const std::string& svg, const std::string& color) {
  std::vector<double> found;
  const std::regex bar(
      "<rect x=\"[0-9.]+\" y=\"[0-9.]+\" width=\"([0-9.]+)\" height=\"8\" fill=\"" + color +
      "\"/>");
  for (std::sregex_iterator at(svg.begin(), svg.end(), bar), end; at != end; ++at) {
    found.push_back(std::stod((*at)[1]));
  }
  return found;
}

}  // namespace

TEST_CASE("the chart is well-formed, whatever the names", "[bench]") {
  CHECK_FALSE(well_formed("<svg><text></svg>"));
  CHECK_FALSE(well_formed("<svg>a & b</svg>"));
  CHECK(well_formed(chart_svg("a < b & c > d", kSeries, {{"x<&>\"y", {90, 50, 10}}})));
  CHECK(well_formed(chart_svg("nothing", kSeries, {})));
}

TEST_CASE("bars are as long as their percentages", "[bench]") {
  const std::string svg =
      chart_svg("t", kSeries, {{"first", {90, 50, 12.5}}, {"second", {100, 0, 400}}});
  CHECK(widths(svg, "red") == std::vector<double>{90 * kPixelsPerPercent, 100 * kPixelsPerPercent});
  CHECK(widths(svg, "green") == std::vector<double>{50 * kPixelsPerPercent});
  const auto blue = widths(svg, "blue");
  REQUIRE(blue.size() == 2);
  CHECK(blue[0] == 12.5 * kPixelsPerPercent);
  CHECK(blue[1] == 125 * kPixelsPerPercent);  // cut off at the edge
}

TEST_CASE("the line of the copy stands where a bar of 100 % ends", "[bench]") {
  const std::string svg = chart_svg("t", kSeries, {{"row", {100, 100, 100}}});
  std::smatch bar, line;
  REQUIRE(std::regex_search(svg, bar, std::regex("<rect x=\"([0-9.]+)\" y")));
  REQUIRE(std::regex_search(svg, line, std::regex("<line x1=\"([0-9.]+)\"")));
  CHECK(std::stod(line[1]) == std::stod(bar[1]) + 100 * kPixelsPerPercent);
  CHECK(svg.find("fill=\"white\"") != std::string::npos);
}
