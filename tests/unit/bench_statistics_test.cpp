// Statistics of measured times, and the ratios that a report draws from them.
#include "tests/catch.hpp"
#include "tools/qkjit/bench/results.hpp"
#include "tools/qkjit/bench/statistics.hpp"

using namespace qkjit;
using namespace qkjit::bench;

namespace {

/// A case whose fused kernel takes `fused` microseconds and whose copies take 12 and 10.
CaseResult result(const std::string& name, DType dtype, std::int64_t tokens, double fused) {
  CaseResult r;
  r.measured.group = "test";
  r.measured.name = name;
  r.measured.spec.dtype = dtype;
  r.measured.tokens = tokens;
  r.copy_before.median = 12;
  r.copy_after.median = 10;
  r.fused = Timing{fused, fused, fused};
  r.qk_bytes = 1e6;
  r.moved_bytes = 1.1e6;
  return r;
}

}  // namespace

TEST_CASE("percentiles are measured values, whatever the order", "[bench]") {
  CHECK(median({7}) == 7);
  CHECK(median({3, 1, 2}) == 2);
  CHECK(median({9, 1, 5, 7, 3}) == 5);
  std::vector<double> values;
  for (int i = 101; i-- > 0;) values.push_back(i);
  CHECK(percentile(values, 0) == 0);
  CHECK(percentile(values, 0.1) == 10);
  CHECK(percentile(values, 0.99) == 99);
  CHECK(percentile(values, 1) == 100);
}

TEST_CASE("the geometric mean is that of ratios", "[bench]") {
  CHECK(geometric_mean({}) == 0);
  CHECK(geometric_mean({5}) == Approx(5));
  CHECK(geometric_mean({2, 8}) == Approx(4));
  CHECK(geometric_mean({1, 10, 100}) == Approx(10));
}

TEST_CASE("a timing has the median and the spread of its replays", "[bench]") {
  std::vector<double> replays;
  for (int i = 1; i <= 11; ++i) replays.push_back(i);
  const Timing timing = timing_of(replays);
  CHECK(timing.median == 6);
  CHECK(timing.p10 == 2);
  CHECK(timing.p90 == 10);
}

TEST_CASE("ratios are to the quicker copy, rates count every byte", "[bench]") {
  const CaseResult r = result("a", DType::bf16, 4096, 20);
  CHECK(r.copy() == 10);
  CHECK(r.percent_of_copy(r.fused) == Approx(50));
  CHECK(r.rate_percent() == Approx(55));
  CHECK(r.gigabytes_per_second() == Approx(50));
  CHECK(r.percent_of_copy(std::nullopt) == 0);
}

TEST_CASE("a summary has a line for each kind of case, with its worst", "[bench]") {
  const auto averages =
      summarize({result("quick", DType::bf16, 4096, 10), result("slow", DType::bf16, 8192, 40),
                 result("wide", DType::fp32, 4096, 20), result("middle", DType::bf16, 1024, 20),
                 result("small", DType::fp16, 19, 25), result("between", DType::bf16, 2048, 1000)});
  REQUIRE(averages.size() == 4);
  CHECK(averages[0].name == "bf16, 4096 tokens and more");
  CHECK(averages[0].cases == 2);
  CHECK(averages[0].time_percent == Approx(50));
  CHECK(averages[0].rate_percent == Approx(55));
  CHECK(averages[0].least_percent == Approx(25));
  CHECK(averages[0].least == "test/slow");
  CHECK(averages[1].least == "test/wide");
  CHECK(averages[2].least == "test/middle");
  CHECK(averages[3].least == "test/small");
  CHECK(averages[3].worst_over_copy() == Approx(2.5));
}

TEST_CASE("what could not be measured is null in JSON, and in no average", "[bench]") {
  CaseResult r = result("a", DType::bf16, 4096, 20);
  r.split = Timing{40, 39, 41};
  nlohmann::json document = to_json(r);
  CHECK(document["time_percent"].get<double>() == Approx(50));
  CHECK(document["split_over_fused"].get<double>() == Approx(2));
  CHECK(document["generic"].is_null());
  CHECK_FALSE(document.contains("generic_over_fused"));
  r.fused.reset();
  document = to_json(r);
  CHECK(document["fused"].is_null());
  CHECK_FALSE(document.contains("time_percent"));
  CHECK(summarize({r}).empty());
}
