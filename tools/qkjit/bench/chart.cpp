#include "tools/qkjit/bench/chart.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace qkjit::bench {
namespace {

constexpr double kMostPercent = 125;
constexpr int kLeft = 360, kTop = 60, kBar = 8, kRow = 32, kMargin = 60;  // pixels

std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    out += c == '<' ? "&lt;" : c == '>' ? "&gt;" : c == '&' ? "&amp;" : std::string(1, c);
  }
  return out;
}

double pixels(double percent) { return std::min(percent, kMostPercent) * kPixelsPerPercent; }

std::string label(double x, double y, const char* anchor, const std::string& text) {
  return fmt::format("<text x=\"{}\" y=\"{}\" text-anchor=\"{}\">{}</text>\n", x, y, anchor,
                     escaped(text));
}

std::string bar(double y, double percent, const std::string& color) {
  return fmt::format("<rect x=\"{}\" y=\"{}\" width=\"{:.1f}\" height=\"{}\" fill=\"{}\"/>\n",
                     kLeft, y, pixels(percent), kBar, color);
}

}  // namespace

std::string chart_svg(const std::string& title, const std::array<ChartSeries, 3>& series,
                      const std::vector<ChartRow>& rows) {
  const int height = kTop + kRow * static_cast<int>(rows.size()) + 20;
  const double width = kLeft + pixels(kMostPercent) + kMargin;
  std::string svg = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {1}\" width=\"{0}\" "
      "height=\"{1}\" font-family=\"sans-serif\" font-size=\"12\" fill=\"#222\">\n"
      "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n",
      width, height);
  svg += label(10, 20, "start", title);
  for (std::size_t s = 0; s < series.size(); ++s) {
    const double x = kLeft + 110.0 * static_cast<double>(s);
    svg +=
        fmt::format("<circle cx=\"{}\" cy=\"36\" r=\"5\" fill=\"{}\"/>\n", x + 5, series[s].color);
    svg += label(x + 15, 40, "start", series[s].name);
  }
  double y = kTop;
  for (const ChartRow& row : rows) {
    svg += label(kLeft - 8, y + 16, "end", row.name);
    for (std::size_t s = 0; s < series.size(); ++s) {
      if (row.percent[s] <= 0) continue;
      svg += bar(y + kBar * static_cast<double>(s), row.percent[s], series[s].color);
    }
    svg += label(kLeft + pixels(row.percent[0]) + 4, y + kBar, "start",
                 fmt::format("{:.0f} %", row.percent[0]));
    y += kRow;
  }
  const double line = kLeft + pixels(100);
  svg += fmt::format("<line x1=\"{0}\" y1=\"{1}\" x2=\"{0}\" y2=\"{2}\" stroke=\"#222\"/>\n", line,
                     kTop - 6, height - 14);
  return svg + label(line, height - 2, "middle", "100 % = copy") + "</svg>\n";
}

}  // namespace qkjit::bench
