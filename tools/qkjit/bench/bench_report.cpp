#include "tools/qkjit/bench/bench_report.hpp"

#include <fstream>
#include <iterator>

#include "spec/text.hpp"
#include "tools/qkjit/bench/chart.hpp"

namespace qkjit::bench {
namespace {

std::string time_text(const std::optional<Timing>& timing) {
  return timing ? fmt::format("{:.2f}", timing->median) : "-";
}

std::string percent_text(double percent) {
  return percent > 0 ? fmt::format("{:.1f}", percent) : "-";
}

std::string ratio_text(const std::optional<Timing>& a, const std::optional<Timing>& b) {
  return a && b ? fmt::format("{:.2f}", a->median / b->median) : "-";
}

std::string path_text(const Dispatch& dispatch) {
  return dispatch.reason == Reason::none
             ? std::string(name_of(dispatch.path))
             : fmt::format("{} ({})", name_of(dispatch.path), name_of(dispatch.reason));
}

std::string results_table(const std::vector<CaseResult>& results) {
  std::vector<std::vector<std::string>> rows = {
      {"case", "fused us", "p10-p90 us", "copy us", "split us", "generic us", "empty us", "GB/s",
       "time %", "rate %", "split/fused", "generic/split", "path"}};
  for (const CaseResult& r : results) {
    rows.push_back({r.measured.full_name(), time_text(r.fused),
                    r.fused ? fmt::format("{:.2f}-{:.2f}", r.fused->p10, r.fused->p90) : "-",
                    fmt::format("{:.2f}", r.copy()), time_text(r.split), time_text(r.generic),
                    time_text(r.empty), fmt::format("{:.0f}", r.gigabytes_per_second()),
                    percent_text(r.percent_of_copy(r.fused)), percent_text(r.rate_percent()),
                    ratio_text(r.split, r.fused), ratio_text(r.generic, r.split),
                    path_text(r.dispatch)});
  }
  return table_text(rows);
}

std::string summary_table(const std::vector<Average>& averages) {
  std::vector<std::vector<std::string>> rows = {
      {"geometric means", "cases", "time %", "rate %", "least time %", "fused/copy", "of"}};
  for (const Average& average : averages) {
    rows.push_back({average.name, fmt::to_string(average.cases), percent_text(average.time_percent),
                    percent_text(average.rate_percent), percent_text(average.least_percent),
                    fmt::format("{:.2f}", average.worst_over_copy()), average.least});
  }
  return table_text(rows);
}

}  // namespace

void print(const Console& console, const Report& report) {
  const std::vector<Average> averages = summarize(report.results);
  console.print(fmt::format(
      "on {}, CUDA driver {}; {}", report.device, report.driver,
      report.resident ? "q and k stay in the L2 cache" : "nothing is left in the L2 cache"));
  console.print(
      "time %: copy / fused; rate %: the same, counting also the table, positions and "
      "weights that are read\n");
  console.print(results_table(report.results) + "\n");
  if (!averages.empty()) console.print(summary_table(averages));
  for (const CaseResult& result : report.results) {
    for (const std::string& note : result.notes) {
      console.note(fmt::format("{}: {}", result.measured.full_name(), note));
    }
  }
  nlohmann::json document = report.counters;
  document.update({{"schema", "qkjit.bench/1"},
                   {"device", report.device},
                   {"driver", report.driver},
                   {"date", utc_date()},
                   {"command", command_line()},
                   {"resident", report.resident},
                   {"cases", nlohmann::json::array()},
                   {"summary", nlohmann::json::object()}});
  for (const CaseResult& result : report.results) document["cases"].push_back(to_json(result));
  for (const Average& average : averages) document["summary"][average.name] = to_json(average);
  console.print_json(document);
}

std::string chart_of(const Report& report) {
  std::vector<ChartRow> rows;
  for (const CaseResult& r : report.results) {
    rows.push_back(
        {r.measured.full_name(),
         {r.percent_of_copy(r.fused), r.percent_of_copy(r.split), r.percent_of_copy(r.generic)}});
  }
  return chart_svg(fmt::format("Speed in per cent of a copy in place of the same bytes; {}, {}",
                               report.device, utc_date()),
                   {{{"fused", "#1a7f37"}, {"split", "#bf8700"}, {"generic", "#8c959f"}}}, rows);
}

void print_list(const Console& console, const std::vector<Case>& cases) {
  std::vector<std::vector<std::string>> rows = {{"case", "tokens", "heads", "spec", "also"}};
  nlohmann::json items = nlohmann::json::array();
  for (const Case& c : cases) {
    rows.push_back({c.full_name(), fmt::to_string(c.tokens),
                    fmt::format("{}+{}", c.heads_q, c.heads_k), to_text(c.spec),
                    fmt::format("{}", fmt::join(c.also, ", "))});
    items.push_back({{"group", c.group},
                     {"name", c.name},
                     {"spec", to_text(c.spec)},
                     {"tokens", c.tokens},
                     {"heads_q", c.heads_q},
                     {"heads_k", c.heads_k},
                     {"also", c.also}});
  }
  console.print(table_text(rows));
  console.print_json({{"schema", "qkjit.bench.list/1"}, {"cases", items}});
}

std::string command_line() {
  std::ifstream file("/proc/self/cmdline", std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  std::string line = "qkjit";
  for (std::size_t at = text.find('\0'); at + 1 < text.size(); at = text.find('\0', at + 1)) {
    line += fmt::format(" {}", text.c_str() + at + 1);
  }
  return line;
}

}  // namespace qkjit::bench
