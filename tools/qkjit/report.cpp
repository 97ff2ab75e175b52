#include "tools/qkjit/report.hpp"

#include <algorithm>

namespace qkjit {
namespace {

double gigabytes_per_second(const CallReport& call) {
  const double microseconds = call.executed.microseconds;
  return microseconds > 0 ? call.bytes_moved / microseconds * 1e-3 : 0;
}

std::string time_text(double microseconds) {
  return microseconds < 1e4 ? fmt::format("{:.1f} us", microseconds)
                            : fmt::format("{:.1f} ms", microseconds * 1e-3);
}

std::string check_text(const CallReport& call) {
  if (!call.check) return "not asked for";
  const oracle::CheckResult& c = *call.check;
  const double exact = 100.0 * static_cast<double>(c.exact) /
                       static_cast<double>(std::max(c.checked - c.unjudged, std::uint64_t{1}));
  const std::string sample = c.checked < c.elements ? fmt::format(" of {} sampled", c.checked) : "";
  return fmt::format("{}: {:.4f} %{} {}, {} near, {} wrong", c.passed ? "passed" : "FAILED", exact,
                     sample, c.exact_means, c.within, c.wrong);
}

std::string calls_table(const std::vector<CallReport>& calls) {
  std::vector<std::vector<std::string>> rows = {
      {"call", "calls", "tokens", "heads", "path", "reason", "time", "GB/s", "check"}};
  for (const CallReport& call : calls) {
    rows.push_back({call.name, fmt::format("x{}", call.repeat), fmt::to_string(call.tokens),
                    fmt::format("{}+{}", call.heads_q, call.heads_k),
                    std::string(name_of(call.executed.dispatch.path)),
                    std::string(name_of(call.executed.dispatch.reason)),
                    time_text(call.executed.microseconds),
                    fmt::format("{:.1f}", gigabytes_per_second(call)), check_text(call)});
  }
  return table_text(rows);
}

std::string kernels_table(const std::vector<Kernel>& kernels) {
  std::vector<std::vector<std::string>> rows = {
      {"kernel", "target", "variant", "registers", "spill bytes", "shared bytes", "origin"}};
  for (const Kernel& kernel : kernels) {
    const Resources& r = kernel.resources;
    rows.push_back({kernel.entry, kernel.target, kernel.variant, fmt::to_string(r.registers),
                    fmt::to_string(r.spill_stores + r.spill_loads), fmt::to_string(r.shared),
                    kernel.origin == Origin::compiled
                        ? fmt::format("compiled in {:.0f} ms", kernel.compile_ms)
                        : "cache"});
  }
  return table_text(rows);
}

nlohmann::json to_json(const CallReport& call) {
  nlohmann::json document = {{"call", call.name},
                             {"spec", call.spec},
                             {"repeat", call.repeat},
                             {"tokens", call.tokens},
                             {"heads_q", call.heads_q},
                             {"heads_k", call.heads_k},
                             {"path", name_of(call.executed.dispatch.path)},
                             {"reason", name_of(call.executed.dispatch.reason)},
                             {"microseconds", call.executed.microseconds},
                             {"gigabytes_per_second", gigabytes_per_second(call)}};
  if (call.check) {
    document["check"] = {{"passed", call.check->passed},   {"elements", call.check->elements},
                         {"checked", call.check->checked}, {"exact", call.check->exact},
                         {"within", call.check->within},   {"wrong", call.check->wrong},
                         {"text", call.check->text}};
  }
  return document;
}

}  // namespace

nlohmann::json to_json(const Kernel& kernel) {
  const Resources& r = kernel.resources;
  return {{"entry", kernel.entry},
          {"target", kernel.target},
          {"variant", kernel.variant},
          {"compiler", kernel.compiler},
          {"key", kernel.key},
          {"origin", kernel.origin == Origin::cache ? "cache" : "compiled"},
          {"cubin_bytes", kernel.cubin.size()},
          {"resources",
           {{"registers", r.registers},
            {"spill_stores", r.spill_stores},
            {"spill_loads", r.spill_loads},
            {"stack", r.stack},
            {"shared", r.shared}}}};
}

void print(const Console& console, const RunReport& report, const nlohmann::json& counters) {
  console.print(fmt::format("{}\non {}\n", console.strong(report.title), report.device));
  if (!report.kernels.empty()) console.print(kernels_table(report.kernels) + "\n");
  if (!report.calls.empty()) console.print(calls_table(report.calls));
  const bool checked = !report.calls.empty() && report.calls.front().check;
  if (checked) {
    console.print(std::ranges::all_of(report.calls, &CallReport::passed)
                      ? console.good("\nevery call agrees with the oracle")
                      : console.bad("\na call does not agree with the oracle"));
  }
  nlohmann::json document = counters;
  document.update({{"schema", "qkjit.run/1"},
                   {"title", report.title},
                   {"device", report.device},
                   {"target", report.target}});
  document["kernels"] = document["calls"] = nlohmann::json::array();
  for (const Kernel& kernel : report.kernels) document["kernels"].push_back(to_json(kernel));
  for (const CallReport& call : report.calls) document["calls"].push_back(to_json(call));
  console.print_json(document);
}

}  // namespace qkjit
