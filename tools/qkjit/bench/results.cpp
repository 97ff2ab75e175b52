#include "tools/qkjit/bench/results.hpp"

#include <algorithm>
#include <functional>

#include "spec/names.hpp"
#include "spec/text.hpp"
#include "tools/qkjit/bench/statistics.hpp"

namespace qkjit::bench {
namespace {

constexpr std::int64_t kLargeTokens = 4096, kMiddleTokens = 1024, kSmallTokens = 256;

Average average_of(const std::string& name, const std::vector<CaseResult>& results,
                   const std::function<bool(const Case&)>& belongs) {
  Average average;
  average.name = name;
  std::vector<double> times, rates;
  for (const CaseResult& result : results) {
    if (!result.fused || !belongs(result.measured)) continue;
    const double percent = result.percent_of_copy(result.fused);
    if (times.empty() || percent < average.least_percent) {
      average.least_percent = percent;
      average.least = result.measured.full_name();
    }
    times.push_back(percent);
    rates.push_back(result.rate_percent());
  }
  average.cases = times.size();
  average.time_percent = geometric_mean(times);
  average.rate_percent = geometric_mean(rates);
  return average;
}

nlohmann::json to_json(const Timing& timing) {
  return {{"microseconds", timing.median}, {"p10", timing.p10}, {"p90", timing.p90}};
}

nlohmann::json to_json(const std::optional<Timing>& timing) {
  return timing ? to_json(*timing) : nlohmann::json();
}

}  // namespace

Timing timing_of(const std::vector<double>& microseconds) {
  return {median(microseconds), percentile(microseconds, 0.1), percentile(microseconds, 0.9)};
}

double CaseResult::gigabytes_per_second() const {
  return fused ? qk_bytes / fused->median * 1e-3 : 0;
}

double CaseResult::percent_of_copy(const std::optional<Timing>& time) const {
  return time ? 100 * copy() / time->median : 0;
}

double CaseResult::rate_percent() const { return percent_of_copy(fused) * moved_bytes / qk_bytes; }

std::vector<Average> summarize(const std::vector<CaseResult>& results) {
  std::vector<Average> averages;
  for (const DType dtype : {DType::bf16, DType::fp16, DType::fp32}) {
    averages.push_back(average_of(
        fmt::format("{}, {} tokens and more", name_of(dtype), kLargeTokens), results,
        [&](const Case& c) { return c.spec.dtype == dtype && c.tokens >= kLargeTokens; }));
  }
  averages.push_back(average_of(fmt::format("{} tokens", kMiddleTokens), results,
                                [](const Case& c) { return c.tokens == kMiddleTokens; }));
  averages.push_back(average_of(fmt::format("{} tokens and fewer", kSmallTokens), results,
                                [](const Case& c) { return c.tokens <= kSmallTokens; }));
  std::erase_if(averages, [](const Average& average) { return average.cases == 0; });
  return averages;
}

nlohmann::json to_json(const CaseResult& result) {
  const Case& c = result.measured;
  nlohmann::json document = {{"group", c.group},
                             {"name", c.name},
                             {"spec", to_text(c.spec)},
                             {"tokens", c.tokens},
                             {"heads_q", c.heads_q},
                             {"heads_k", c.heads_k},
                             {"table_rows", c.table_rows},
                             {"random_positions", c.random_positions},
                             {"path", name_of(result.dispatch.path)},
                             {"reason", name_of(result.dispatch.reason)},
                             {"fused", to_json(result.fused)},
                             {"generic", to_json(result.generic)},
                             {"split", to_json(result.split)},
                             {"copy_before", to_json(result.copy_before)},
                             {"copy_after", to_json(result.copy_after)},
                             {"empty", to_json(result.empty)},
                             {"qk_bytes", result.qk_bytes},
                             {"moved_bytes", result.moved_bytes}};
  if (c.view.row_stride > 0) {
    document["view"] = {{"row_stride", c.view.row_stride},
                        {"q_offset", c.view.q_offset},
                        {"k_offset", c.view.k_offset}};
  }
  if (!c.also.empty()) document["also"] = c.also;
  if (!result.notes.empty()) document["notes"] = result.notes;
  if (!result.fused) return document;
  document.update({{"gigabytes_per_second", result.gigabytes_per_second()},
                   {"time_percent", result.percent_of_copy(result.fused)},
                   {"rate_percent", result.rate_percent()}});
  if (result.generic)
    document["generic_over_fused"] = result.generic->median / result.fused->median;
  if (result.split) document["split_over_fused"] = result.split->median / result.fused->median;
  if (result.generic && result.split) {
    document["generic_over_split"] = result.generic->median / result.split->median;
  }
  return document;
}

nlohmann::json to_json(const Average& average) {
  return {{"cases", average.cases},
          {"time_percent", average.time_percent},
          {"rate_percent", average.rate_percent},
          {"least_time_percent", average.least_percent},
          {"worst_over_copy", average.worst_over_copy()},
          {"least", average.least}};
}

}  // namespace qkjit::bench
