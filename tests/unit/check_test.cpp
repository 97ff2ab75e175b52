// The check of a call: the CPU path passes it on every kind of problem, and results that are wrong
// in one way each do not.
#include "tools/oracle/check.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <utility>
#include <vector>

#include "cpu/cpu_path.hpp"
#include "op/check.hpp"
#include "tests/catch.hpp"
#include "tests/support/norm_specs.hpp"
#include "tests/support/problem.hpp"
#include "tests/unit/mentions.hpp"
#include "tools/oracle/number.hpp"

using namespace qkjit;
using namespace qkjit::test;
using oracle::CheckResult;

namespace {

constexpr int kHeadDim = 64;
using Change = std::function<void(qkjit_args&)>;

ProblemConfig config_of(DType dtype, Rounding rounding, Layout layout = Layout::neox) {
  ProblemConfig config;
  config.spec = {kHeadDim, 48, layout, dtype, rounding, Positions::int64};
  config.tokens = 40;
  config.in_place = false;
  config.strides = Strides::packed;
  config.position_offset = 3;
  return config;
}

void run_cpu(const qkjit_args& args) {
  const auto op = check_args(args);
  REQUIRE(op.has_value());
  run_on_cpu(op->spec, op->params, 1, op->frequencies.get());
}

CheckResult check(const qkjit_args& args, const oracle::CheckOptions& options = {}) {
  auto result = oracle::check_call(args, options);
  REQUIRE(result.has_value());
  return *result;
}

/// What the check says of the result of a changed call, held against the call as it was.
CheckResult check_changed(const ProblemConfig& config, const Change& change) {
  Problem problem(config);
  qkjit_args args = problem.args(), changed = args;
  change(changed);
  run_cpu(changed);
  return check(args);
}

/// Away from zero, by steps of the dtype.
void move_element(const qkjit_args& args, std::int64_t index, double ulps) {
  const auto dtype = static_cast<DType>(args.spec.dtype);
  const double value = oracle::load(dtype, args.q_out.data, index);
  const double step = std::copysign(oracle::ulp(dtype, value), value);
  oracle::store(dtype, value + ulps * step, args.q_out.data, index);
}

}  // namespace

TEST_CASE("the CPU path passes in every mode, dtype and layout", "[check]") {
  const auto dtype = GENERATE(DType::bf16, DType::fp16, DType::fp32);
  const auto rounding =
      GENERATE(Rounding::fused, Rounding::split, Rounding::eager, Rounding::hf,
               Rounding::late_weight, Rounding::hf_eager, Rounding::late_weight_eager);
  for (auto layout : {Layout::interleaved, Layout::neox}) {
    for (auto data : {Data::normal, Data::special}) {
      for (float eps : {0.0f, 1e-6f, 1e-2f}) {
        for (std::uint64_t seed = 0; seed < 4; ++seed) {
          auto config = config_of(dtype, rounding, layout);
          config.data = data;
          config.eps = eps;
          config.seed = seed;
          const auto result = check_changed(config, [](qkjit_args&) {});
          INFO(to_text(config) << ": " << result.text);
          CHECK(result.wrong == 0);
          CHECK(mentions(result.text, {dtype == DType::fp32 ? "2^-22" : "correctly rounded"}));
          CHECK(result.elements == 40 * 5 * kHeadDim);
          CHECK(result.checked == result.elements);
          CHECK(result.exact + result.within + result.unjudged == result.checked);
          // Special rows hold short numbers, whose products are ties more often than chance.
          if (data == Data::normal) CHECK((result.passed && result.unjudged == 0));
        }
      }
    }
  }
}

TEST_CASE("every head_dim, position kind and stride passes", "[check]") {
  for (int head_dim : {1, 2, 7, 8, 80, 128, 513, 1024}) {
    for (auto positions : {Positions::int64, Positions::int32, Positions::implicit}) {
      auto config = config_of(DType::bf16, Rounding::fused);
      config.spec = {head_dim,    head_dim / 2 * 2, Layout::interleaved,
                     DType::bf16, Rounding::fused,  positions};
      config.tokens = 3;
      for (auto strides : {Strides::contiguous, Strides::head_major, Strides::gaps}) {
        config.strides = strides;
        const auto result = check_changed(config, [](qkjit_args&) {});
        INFO(to_text(config) << ": " << result.text);
        CHECK(result.passed);
      }
    }
  }
}

TEST_CASE("rotation without a norm passes", "[check]") {
  for (auto layout : {Layout::interleaved, Layout::neox}) {
    for (auto rounding : {Rounding::fused, Rounding::eager}) {
      auto config = config_of(DType::bf16, rounding, layout);
      config.spec.q_norm = config.spec.k_norm = Norm::none;
      const auto result = check_changed(config, [](qkjit_args&) {});
      INFO(to_text(config) << ": " << result.text);
      CHECK(result.passed);
    }
  }
}

TEST_CASE("every form of table, placement and positions passes", "[check]") {
  for (int i = 0; i < 3 * 2 * 2 * 3 * 2; ++i) {
    auto config = config_of(DType::bf16, Rounding::fused, static_cast<Layout>(i % 2));
    Spec& spec = config.spec;
    spec.table = static_cast<DType>(i / 2 % 3);
    spec.table_width = static_cast<TableWidth>(i / 6 % 2);
    spec.placement = static_cast<RopePlacement>(i / 12 % 2);
    spec.section_order = static_cast<SectionOrder>(i / 24 % 2);
    if (i / 24 < 2) std::ranges::copy(std::array{10, 7, 7}, spec.sections);
    config.joint_table = i % 3 != 0;
    config.table_gap = i % 5;
    const auto result = check_changed(config, [](qkjit_args&) {});
    INFO(to_text(config) << ": " << result.text);
    CHECK(result.passed);
  }
}

TEST_CASE("computed angles pass in every form, and others fail", "[check]") {
  auto config = config_of(GENERATE(DType::bf16, DType::fp16, DType::fp32), Rounding::fused,
                          GENERATE(Layout::neox, Layout::interleaved));
  config.spec.angles = Angles::computed;
  config.spec.positions = GENERATE(Positions::int64, Positions::int32, Positions::implicit);
  config.position_offset = 1'000'000;
  const qkjit_frequencies plain = {1e4, 1, 1, 0, 0, 1}, linear = {5e5, 4, 1, 0, 0, 1};
  const qkjit_frequencies yarn = {1e6, 1, 4, 5.5, 17, 1.1386294361119891};
  for (const qkjit_frequencies& frequencies : {plain, linear, yarn}) {
    config.frequencies = frequencies;
    const auto result = check_changed(config, [](qkjit_args&) {});
    INFO(to_text(config) << ": " << result.text);
    CHECK(result.passed);
    const Change changes[] = {[](qkjit_args& a) { a.frequencies.base *= 1 + 1e-6; },
                              [](qkjit_args& a) { a.frequencies.linear_factor += 1e-6; },
                              [](qkjit_args& a) { a.frequencies.attention_factor *= 1.01; },
                              [](qkjit_args& a) { a.position_offset += 1; }};
    for (const Change& change : changes) CHECK_FALSE(check_changed(config, change).passed);
  }
  if (config.spec.positions == Positions::implicit) return;
  std::ranges::copy(std::array{10, 7, 7}, config.spec.sections);
  config.spec.section_order = GENERATE(SectionOrder::contiguous, SectionOrder::interleaved);
  CHECK(check_changed(config, [](qkjit_args&) {}).passed);
}

TEST_CASE("pairs whose elements turn by two angles pass, and by one fail", "[check]") {
  auto config = config_of(GENERATE(DType::bf16, DType::fp32), Rounding::eager);
  config.spec.table_width = TableWidth::elements;
  config.joint_table = GENERATE(true, false);
  CHECK(check_changed(config, [](qkjit_args&) {}).passed);
  CHECK_FALSE(check_changed(config, [](qkjit_args& args) {
                args.spec.table_width = QKJIT_TABLE_FULL;
              }).passed);
}

TEST_CASE("a result of another form fails", "[check]") {
  auto config =
      config_of(DType::bf16, Rounding::fused, GENERATE(Layout::neox, Layout::interleaved));
  std::ranges::copy(std::array{10, 7, 7}, config.spec.sections);
  config.spec.section_order = SectionOrder::interleaved;
  const std::pair<const char*, Change> changes[] = {
      {"placement", [](qkjit_args& args) { args.spec.placement = QKJIT_PLACEMENT_TAIL; }},
      {"section order",
       [](qkjit_args& args) { args.spec.section_order = QKJIT_SECTIONS_CONTIGUOUS; }},
      {"sections", [](qkjit_args& args) { args.spec.sections[0]++, args.spec.sections[1]--; }},
      {"one axis for all",
       [](qkjit_args& args) {
         std::fill_n(args.spec.sections, 3, 0);
         args.positions = qkjit_tensor_1d(args.positions.data, QKJIT_INT64, 40);
       }},
  };
  for (const auto& [name, change] : changes) {
    const auto result = check_changed(config, change);
    INFO(name << ": " << result.text);
    CHECK_FALSE(result.passed);
  }
}

TEST_CASE("every norm passes, in every mode and order", "[check]") {
  for (const SpecRow& row : kNormSpecs) {
    for (auto data : {Data::normal, Data::special}) {
      for (std::uint64_t seed = 0; seed < 3; ++seed) {
        auto config = config_of(DType::bf16, Rounding::fused);
        config.spec = row.spec();
        config.data = data;
        config.eps = seed == 0 ? 1e-6f : 1e-2f;
        config.seed = seed;
        const auto result = check_changed(config, [](qkjit_args&) {});
        INFO(to_text(config) << ": " << result.text);
        CHECK(result.wrong == 0);
        if (data == Data::normal) CHECK((result.passed && result.unjudged == 0));
      }
    }
  }
}

TEST_CASE("a norm across heads passes for any number of them, and one of each head fails",
          "[check]") {
  for (const auto& [heads_q, heads_k] : {std::pair{1, 1}, {40, 40}, {96, 8}, {700, 33}}) {
    auto config = config_of(GENERATE(DType::bf16, DType::fp32), Rounding::fused);
    config.spec.norm_scope = NormScope::token;
    config.spec.norm_order = GENERATE(NormOrder::before, NormOrder::after);
    config.tokens = 2, config.heads_q = heads_q, config.heads_k = heads_k;
    const auto result = check_changed(config, [](qkjit_args&) {});
    INFO(to_text(config) << ": " << result.text);
    CHECK(result.passed);
    if (heads_q == 1) continue;
    CHECK_FALSE(check_changed(config, [](qkjit_args& args) {
                  args.spec.norm_scope = QKJIT_NORM_SCOPE_HEAD;
                  args.q_weight.shape[0] = args.k_weight.shape[0] = kHeadDim;
                }).passed);
  }
}

TEST_CASE("weights of each head pass, and those of another head fail", "[check]") {
  auto config = config_of(GENERATE(DType::bf16, DType::fp32), Rounding::late_weight);
  config.spec.q_norm = config.spec.k_norm = Norm::layer;
  config.spec.bias = Bias::yes, config.spec.weights = Weights::per_head;
  CHECK(check_changed(config, [](qkjit_args&) {}).passed);
  for (auto vector : {&qkjit_args::q_weight, &qkjit_args::k_bias}) {
    std::vector<float> turned;
    CHECK_FALSE(check_changed(config, [&](qkjit_args& args) {
                  const auto size = static_cast<std::size_t>(args.spec.dtype == QKJIT_FP32 ? 4 : 2);
                  const auto length = static_cast<std::size_t>((args.*vector).shape[0]) * size;
                  turned.resize(length);  // of its bytes, a copy that begins with the second head
                  auto* const bytes = reinterpret_cast<std::byte*>(turned.data());
                  const auto* const from = static_cast<const std::byte*>((args.*vector).data);
                  std::rotate_copy(from, from + kHeadDim * size, from + length, bytes);
                  (args.*vector).data = bytes;
                }).passed);
  }
}

TEST_CASE("a LayerNorm of rows far from zero passes", "[check]") {
  const auto dtype = GENERATE(DType::bf16, DType::fp16, DType::fp32);
  const auto order = GENERATE(NormOrder::before, NormOrder::after);
  auto config = config_of(dtype, Rounding::split);
  config.spec.q_norm = config.spec.k_norm = Norm::layer;
  config.spec.norm_order = order;
  config.strides = Strides::contiguous;
  Problem problem(config);
  const qkjit_args args = problem.args();
  for (std::int64_t i = 0; i < 40 * 3 * kHeadDim; ++i) {
    oracle::store(dtype, oracle::load(dtype, args.q.data, i) + 20, args.q.data, i);
  }
  run_cpu(args);
  const CheckResult result = check(args);
  INFO(to_text(config) << ": " << result.text);
  CHECK((result.passed && result.unjudged == 0));
}

TEST_CASE("a result of another norm fails", "[check]") {
  const auto dtype = GENERATE(DType::bf16, DType::fp16, DType::fp32);
  const auto rounding = GENERATE(Rounding::fused, Rounding::hf, Rounding::late_weight);
  const std::pair<const char*, Change> changes[] = {
      {"q not centred",
       [](qkjit_args& args) {
         args.spec.q_norm = QKJIT_NORM_RMS, args.q_bias = QKJIT_TENSOR_INIT;
       }},
      {"k not centred",
       [](qkjit_args& args) {
         args.spec.k_norm = QKJIT_NORM_RMS, args.k_bias = QKJIT_TENSOR_INIT;
       }},
      {"no bias",
       [](qkjit_args& args) {
         args.spec.bias = QKJIT_BIAS_NO, args.q_bias = args.k_bias = QKJIT_TENSOR_INIT;
       }},
      {"biases exchanged", [](qkjit_args& args) { std::swap(args.q_bias, args.k_bias); }},
      {"1 + w", [](qkjit_args& args) { args.spec.weight = QKJIT_WEIGHT_ONE_PLUS; }},
      {"no weight",
       [](qkjit_args& args) {
         args.spec.weight = QKJIT_WEIGHT_NONE, args.q_weight = args.k_weight = QKJIT_TENSOR_INIT;
       }},
      {"the other order", [](qkjit_args& args) { args.spec.norm_order = QKJIT_NORM_ORDER_AFTER; }},
  };
  for (const auto& [name, change] : changes) {
    auto config = config_of(dtype, rounding);
    config.spec.q_norm = config.spec.k_norm = Norm::layer;
    config.spec.bias = Bias::yes;
    const auto result = check_changed(config, change);
    INFO(to_text(config) << ": " << name << ": " << result.text);
    CHECK_FALSE(result.passed);
  }
}

TEST_CASE("a result of other arguments fails", "[check]") {
  const auto dtype = GENERATE(DType::bf16, DType::fp16, DType::fp32);
  const auto rounding =
      GENERATE(Rounding::fused, Rounding::split, Rounding::eager, Rounding::hf,
               Rounding::late_weight, Rounding::hf_eager, Rounding::late_weight_eager);
  std::vector<std::uint32_t> ones(kHeadDim);
  for (int i = 0; i < kHeadDim; ++i) oracle::store(dtype, 1, ones.data(), i);
  const std::pair<const char*, Change> changes[] = {
      {"eps 1e-5 for 1e-2", [](qkjit_args& args) { args.eps = 1e-5f; }},
      {"layout", [](qkjit_args& args) { args.spec.layout = QKJIT_INTERLEAVED; }},
      {"position off by one", [](qkjit_args& args) { args.position_offset -= 1; }},
      {"no weight", [&](qkjit_args& args) { args.q_weight.data = ones.data(); }},
      {"weights exchanged", [](qkjit_args& args) { std::swap(args.q_weight, args.k_weight); }},
      {"no rotation", [](qkjit_args& args) { args.spec.rope_dim = 0; }},
  };
  for (const auto& [name, change] : changes) {
    auto config = config_of(dtype, rounding);
    config.eps = 1e-2f;
    config.spec.positions = Positions::implicit;  // from row 3, so that row - 1 exists
    const auto result = check_changed(config, change);
    INFO(to_text(config) << ": " << name << ": " << result.text);
    CHECK_FALSE(result.passed);
  }
}

TEST_CASE("sines of the wrong sign, and cosines for sines, fail", "[check]") {
  const auto dtype = GENERATE(DType::bf16, DType::fp16, DType::fp32);
  Problem problem(config_of(dtype, Rounding::fused));
  qkjit_args args = problem.args();
  run_cpu(args);
  CHECK(check(args).passed);
  auto* table = static_cast<float*>(args.cos_sin_cache.data);
  for (std::int64_t row = 0; row < args.cos_sin_cache.shape[0]; ++row) {
    for (int i = 24; i < 48; ++i) table[row * 48 + i] *= -1;
  }
  CHECK_FALSE(check(args).passed);
  for (std::int64_t row = 0; row < args.cos_sin_cache.shape[0]; ++row) {
    for (int i = 0; i < 24; ++i) std::swap(table[row * 48 + i], table[row * 48 + 24 + i]);
  }
  CHECK_FALSE(check(args).passed);
}

TEST_CASE("a result of another rounding mode fails", "[check]") {
  const auto dtype = GENERATE(DType::bf16, DType::fp16);
  constexpr Rounding kModes[] = {Rounding::fused, Rounding::split, Rounding::eager, Rounding::hf,
                                 Rounding::hf_eager};
  for (Rounding right : kModes) {
    for (Rounding wrong : kModes) {
      if (right == wrong) continue;
      const auto config = config_of(dtype, right);
      const auto result = check_changed(config, [&](qkjit_args& args) {
        args.spec.rounding = static_cast<qkjit_rounding>(wrong);
      });
      INFO(to_text(config) << ": " << result.text);
      CHECK_FALSE(result.passed);
    }
  }
}

TEST_CASE("one element: the neighbour is within, the next is wrong and is named", "[check]") {
  Problem problem(config_of(GENERATE(DType::bf16, DType::fp16), Rounding::fused));
  const qkjit_args args = problem.args();
  run_cpu(args);
  const CheckResult before = check(args);
  const std::int64_t index = 7 * args.q_out.strides[0] + 2 * args.q_out.strides[1] + 60;
  move_element(args, index, 1);
  const CheckResult neighbour = check(args);
  CHECK(neighbour.passed);
  CHECK(neighbour.within == before.within + 1);
  move_element(args, index, 2);
  const CheckResult wrong = check(args);
  CHECK_FALSE(wrong.passed);
  CHECK(wrong.wrong == 1);
  CHECK(wrong.worst.tensor == 'q');
  CHECK((wrong.worst.token == 7 && wrong.worst.head == 2 && wrong.worst.element == 60));
  CHECK(mentions(wrong.text, {"1 wrong", "q[7, 2, 60]"}));
}

TEST_CASE("many neighbours fail, though each is within", "[check]") {
  Problem problem(config_of(DType::bf16, Rounding::fused));
  const qkjit_args args = problem.args();
  run_cpu(args);
  for (std::int64_t token = 0; token < 40; ++token)
    move_element(args, token * args.q_out.strides[0] + 63, 1);
  const CheckResult result = check(args);
  INFO(result.text);
  CHECK(result.wrong == 0);
  CHECK(result.within >= 40);
  CHECK_FALSE(result.passed);
}

TEST_CASE("NaN or infinity for a number fails, and a number for NaN", "[check]") {
  const auto dtype = GENERATE(DType::bf16, DType::fp16, DType::fp32);
  const auto rounding = GENERATE(Rounding::fused, Rounding::eager);
  Problem problem(config_of(dtype, rounding));
  const qkjit_args args = problem.args();
  run_cpu(args);
  const double right = oracle::load(dtype, args.k_out.data, 5);
  for (double bad : {NAN, INFINITY, -INFINITY}) {
    oracle::store(dtype, bad, args.k_out.data, 5);
    CHECK(check(args).wrong == 1);
  }
  oracle::store(dtype, right, args.k_out.data, 5);
  oracle::store(dtype, NAN, args.k.data, 60);  // beyond rope_dim, in the row of element 5
  CHECK(check(args).wrong == kHeadDim);
}

TEST_CASE("sampling and threads change what is checked, not the verdict", "[check][threads]") {
  Problem problem(config_of(DType::bf16, Rounding::split));
  const qkjit_args args = problem.args();
  run_cpu(args);
  const CheckResult alone = check(args, {.token_step = 1, .threads = 1});
  const CheckResult together = check(args, {.token_step = 1, .threads = 7});
  CHECK(alone.text == together.text);
  const CheckResult sampled = check(args, {.token_step = 7, .threads = 2});
  CHECK(sampled.checked == 6 * 5 * kHeadDim);
  CHECK(sampled.elements == alone.elements);
  CHECK(sampled.passed);

  CHECK(oracle::token_step_for(args, 1'000'000) == 1);
  CHECK(oracle::token_step_for(args, 5 * kHeadDim * 4) == 11);
  CHECK(oracle::token_step_for(args, 1) == 41);
  move_element(args, 1 * args.q_out.strides[0], 100);
  CHECK(check(args, {.token_step = 7, .threads = 2}).passed);
  CHECK_FALSE(check(args).passed);
}

TEST_CASE("a call in place cannot be checked, one without tokens can", "[check]") {
  auto config = config_of(DType::bf16, Rounding::fused);
  config.in_place = true;
  Problem problem(config);
  qkjit_args args = problem.args();
  CHECK(fails(oracle::check_call(args), Code::invalid_argument, {"q", "in place", "copy"}));
  args.q.shape[0] = args.k.shape[0] = 0;
  CHECK(check(args).passed);
}
