// The oracle against results worked out by hand, and its numbers against the kernels' conversions.
#include "tools/oracle/oracle.hpp"

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include "kernels/dtype.cuh"
#include "tests/catch.hpp"
#include "tools/oracle/number.hpp"

using namespace qkjit;
using oracle::rounded;

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr std::array kDtypes = {DType::bf16, DType::fp16, DType::fp32};

std::uint32_t stored_bits(DType dtype, double x) {
  std::uint32_t bits = 0;  // the low bytes come first
  oracle::store(dtype, x, &bits, 0);
  return bits;
}

std::uint32_t kernel_bits(DType dtype, float x) {
  if (dtype == DType::bf16) return Format<DType::bf16>::store(x);
  if (dtype == DType::fp16) return Format<DType::fp16>::store(x);
  return bits_of(Format<DType::fp32>::store(x));
}

Spec spec_of(int head_dim, int rope_dim, Rounding rounding, DType dtype = DType::bf16,
             Layout layout = Layout::interleaved) {
  return {head_dim, rope_dim, layout, dtype, rounding, Positions::implicit};
}

std::vector<oracle::Element> compute(const Spec& spec, double eps, std::vector<double> x,
                                     std::vector<double> weight, std::vector<double> cosines = {},
                                     std::vector<double> sines = {}) {
  for (std::vector<double>* values : {&cosines, &sines}) {  // one angle for both of a pair
    if (values->size() == static_cast<std::size_t>(spec.rope_dim / 2)) {
      values->insert(values->end(), values->begin(), values->end());
    }
  }
  std::vector<oracle::Element> out(x.size());
  oracle::compute_row(spec, eps, {spec.q_norm, x, weight, {}, cosines, sines}, out);
  return out;
}

std::vector<double> exact(const std::vector<oracle::Element>& row) {
  std::vector<double> values;
  for (const auto& element : row) values.push_back(element.exact);
  return values;
}

std::vector<double> results(const std::vector<oracle::Element>& row) {
  std::vector<double> values;
  for (const auto& element : row) values.push_back(element.rounded);
  return values;
}

}  // namespace

TEST_CASE("every 16-bit number is read and written as itself", "[oracle]") {
  for (DType dtype : {DType::bf16, DType::fp16}) {
    int wrong = 0;
    for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
      const auto stored = static_cast<std::uint16_t>(bits);
      const double value = oracle::load(dtype, &stored, 0);
      const float kernels = dtype == DType::bf16 ? bf16_to_float(bits) : fp16_to_float(bits);
      const bool both_nan = std::isnan(value) && std::isnan(kernels);
      if (!both_nan && std::bit_cast<std::uint64_t>(value) !=
                           std::bit_cast<std::uint64_t>(static_cast<double>(kernels))) {
        ++wrong;
      }
      if (stored_bits(dtype, value) != (both_nan ? 0x7fff : bits)) ++wrong;
    }
    CHECK(wrong == 0);
  }
}

TEST_CASE("floats of every size round as the kernels round them", "[oracle]") {
  std::mt19937 random(7);
  for (DType dtype : kDtypes) {
    int wrong = 0;
    for (int i = 0; i < 1'000'000; ++i) {
      const float x = float_of(random());
      if (stored_bits(dtype, x) != kernel_bits(dtype, x)) ++wrong;
    }
    CHECK(wrong == 0);
  }
}

TEST_CASE("rounding is to nearest even, once, with subnormals and overflow", "[oracle]") {
  CHECK(rounded(DType::bf16, 1 + 0x1p-8) == 1);                     // a tie goes to even
  CHECK(rounded(DType::bf16, 1 + 0x3p-8) == 1 + 0x1p-6);            // up as well
  CHECK(rounded(DType::bf16, 1 + 0x1p-8 + 0x1p-40) == 1 + 0x1p-7);  // through fp32 it would tie
  CHECK(rounded(DType::fp16, 1 + 0x1p-11 + 0x1p-40) == 1 + 0x1p-10);
  CHECK(rounded(DType::fp32, 1 + 0x1p-24 + 0x1p-50) == 1 + 0x1p-23);
  CHECK(rounded(DType::fp16, 0x1.8p-25) == 0x1p-24);
  CHECK(rounded(DType::fp16, 0x1p-25) == 0);
  CHECK(rounded(DType::fp32, 0x1.8p-149) == 0x1p-148);
  CHECK(rounded(DType::fp16, 65519.999) == 65504);
  CHECK(rounded(DType::fp16, -65520) == -kInfinity);
  CHECK(rounded(DType::bf16, 0x1.ffp127) == kInfinity);
  CHECK(stored_bits(DType::fp16, -NAN) == 0x7fff);
  CHECK(stored_bits(DType::fp32, NAN) == 0x7fffffff);
  CHECK(stored_bits(DType::bf16, -0.0) == 0x8000);
  CHECK(oracle::ulp(DType::bf16, -1.5) == 0x1p-7);
  CHECK(oracle::ulp(DType::fp16, 0) == 0x1p-24);
}

TEST_CASE("the norm divides by the root of the mean square plus eps", "[oracle]") {
  const Spec spec = spec_of(4, 0, Rounding::fused, DType::fp32);
  CHECK(exact(compute(spec, 0, {2, -2, 2, 2}, {1, 2, 3, 0})) == std::vector<double>{1, -2, 3, 0});
  CHECK(exact(compute(spec, 3, {1, 1, -1, 1}, {1, 1, 1, 8})) ==
        std::vector<double>{0.5, 0.5, -0.5, 4});
}

TEST_CASE("a norm across heads takes the mean over all of them", "[oracle]") {
  Spec spec = spec_of(2, 2, Rounding::fused, DType::fp32);
  spec.norm_scope = NormScope::token;
  CHECK(exact(compute(spec, 0, {0, 0, 4, 0}, {1, 2, 3, 4}, {0}, {1})) ==
        std::vector<double>{0, 0, 0, 6});
  spec.norm_order = NormOrder::after;
  CHECK(exact(compute(spec, 0, {0, 0, 4, 0}, {1, 2, 3, 4}, {0}, {1})) ==
        std::vector<double>{0, 0, 0, 8});
}

TEST_CASE("a quarter turn makes (a, b) into (-b, a)", "[oracle]") {
  const std::vector<double> x = {1, 1, 1, 1, 1, 1}, weight = {1, 2, 3, 4, 5, 6};
  const auto row = [&](Layout layout) {
    return compute(spec_of(6, 4, Rounding::fused, DType::fp32, layout), 0, x, weight, {0, 1},
                   {1, 0});
  };
  CHECK(exact(row(Layout::interleaved)) == std::vector<double>{-2, 1, 3, 4, 5, 6});
  CHECK(exact(row(Layout::neox)) == std::vector<double>{-3, 2, 1, 4, 5, 6});
  CHECK(row(Layout::neox)[2].magnitude == Approx(std::hypot(1, 3)));
  CHECK(row(Layout::neox)[5].magnitude == 6);
}

TEST_CASE("without a norm nothing but the rotation happens", "[oracle]") {
  const std::vector<double> x = {3, 4, 5, 0}, none, cosines = {0, 0}, sines = {1, 1};
  std::vector<oracle::Element> out(4);
  oracle::compute_row({.head_dim = 4, .rope_dim = 2}, 1,
                      {Norm::none, x, none, none, cosines, sines}, out);
  CHECK(out[0].rounded == -4);
  CHECK(out[1].rounded == 3);
  CHECK(out[2].rounded == 5);
  CHECK(out[3].rounded == 0);
  CHECK(out[2].judged);
}

TEST_CASE("LayerNorm subtracts the mean first, and adds its bias last", "[oracle]") {
  Spec spec = spec_of(4, 0, Rounding::fused, DType::fp32);
  spec.q_norm = Norm::layer;
  // The mean is 3, what is left 2, -2, 2, -2: of mean square 4.
  CHECK(exact(compute(spec, 0, {5, 1, 5, 1}, {1, 2, 3, 0})) == std::vector<double>{1, -2, 3, 0});
  spec.bias = Bias::yes;
  const std::vector<double> x = {5, 1, 5, 1}, weight = {1, 2, 3, 0}, bias = {10, 2, -3, 7}, none;
  std::vector<oracle::Element> out(4);
  oracle::compute_row(spec, 0, {Norm::layer, x, weight, bias, none, none}, out);
  CHECK(exact(out) == std::vector<double>{11, 0, 0, 7});
  for (const oracle::Element& element : out) CHECK(element.judged);
  CHECK(out[1].magnitude >= 4);  // 2 cancels 2
  CHECK_FALSE(compute(spec_of(2, 0, Rounding::fused), 0, {1e30, -1e30}, {1, 1})[0].judged);
}

TEST_CASE("a row that its mean hides from fp32 is not judged", "[oracle]") {
  Spec spec = spec_of(4, 0, Rounding::fused, DType::fp32);
  spec.q_norm = Norm::layer;
  const std::vector<double> ones(4, 1);
  CHECK(compute(spec, 0, {101, 99, 101, 99}, ones)[0].judged);
  CHECK_FALSE(compute(spec, 0, {100001, 99999, 100001, 99999}, ones)[0].judged);
  CHECK(compute(spec, 1e5, {100001, 99999, 100001, 99999}, ones)[0].judged);
  CHECK(compute(spec, 1e-6, {0, 0, 0, 0}, ones)[0].judged);
}

TEST_CASE("weights may count from 1, or be none", "[oracle]") {
  Spec spec = spec_of(4, 0, Rounding::late_weight, DType::fp32);
  spec.weight = Weight::one_plus;
  CHECK(exact(compute(spec, 0, {2, -2, 2, 2}, {0, 1, -1, -3})) ==
        std::vector<double>{1, -2, 0, -2});
  spec.weight = Weight::none;
  CHECK(exact(compute(spec, 0, {2, -2, 2, 2}, {})) == std::vector<double>{1, -1, 1, 1});
}

TEST_CASE("a norm after the rotation takes the rotated row", "[oracle]") {
  Spec spec = spec_of(4, 2, Rounding::fused, DType::fp32);
  spec.norm_order = NormOrder::after;
  // A quarter turn gives -2, 2, 2, -2, of which each element meets the weight of its new place.
  CHECK(exact(compute(spec, 0, {2, 2, 2, -2}, {1, 10, 3, 4}, {0}, {1})) ==
        std::vector<double>{-1, 10, 3, -4});
  // Every mode but fused rounds in between: 1 + 2^-8 is no bf16, and becomes 1.
  const std::vector<double> x = {1, 1, 1, 1}, ones(4, 1);
  for (const Rounding rounding : {Rounding::fused, Rounding::split, Rounding::hf}) {
    Spec in_bf16 = spec_of(4, 2, rounding);
    in_bf16.norm_order = NormOrder::after;
    const auto row = compute(in_bf16, 0, x, ones, {1}, {-0x1p-8});
    const bool rounds = rounding != Rounding::fused;
    CHECK((row[0].exact == rounded(DType::bf16, row[2].exact)) == rounds);
  }
}

TEST_CASE("each mode rounds where its schedule says", "[oracle]") {
  const DType dtype = GENERATE(DType::bf16, DType::fp16);
  const auto to_dtype = [&](double value) { return rounded(dtype, value); };
  const std::vector<double> x = {1.1875, -2.3125, 0.4375, 1.65625, -0.90625, 2.71875, -1.3125, 0.5},
                            w = {1.40625, 0.8359375, 1.1171875, 0.71875, 1.0, 1.5, 0.96875, 2.25},
                            c = {0.6, 0.8, -0.28, 1.0}, s = {-0.8, 0.6, 0.96, 0.0};
  double sum = 0;
  for (const double value : x) sum += value * value;
  const double r = 1 / std::sqrt(sum / 8 + 1e-6);

  std::vector<double> fused, split, hf, eager, hf_eager;
  for (std::size_t pair = 0; pair < 4; ++pair) {
    const std::size_t i = 2 * pair, j = i + 1;
    const auto add_rotated = [&](std::vector<double>& to, double a, double b) {
      to.push_back(to_dtype(a * c[pair] - b * s[pair]));
      to.push_back(to_dtype(b * c[pair] + a * s[pair]));
    };
    const double a = to_dtype(x[i] * r * w[i]), b = to_dtype(x[j] * r * w[j]);
    add_rotated(fused, x[i] * r * w[i], x[j] * r * w[j]);
    add_rotated(split, a, b);
    const auto add_eagerly = [&](std::vector<double>& to, double first, double second) {
      to.push_back(to_dtype(to_dtype(first * c[pair]) - to_dtype(second * s[pair])));
      to.push_back(to_dtype(to_dtype(second * c[pair]) + to_dtype(first * s[pair])));
    };
    const double twice_a = to_dtype(to_dtype(x[i] * r) * w[i]);
    const double twice_b = to_dtype(to_dtype(x[j] * r) * w[j]);
    add_rotated(hf, twice_a, twice_b);
    add_eagerly(eager, a, b);
    add_eagerly(hf_eager, twice_a, twice_b);
  }
  const auto computed = [&](Rounding rounding) {
    return results(compute(spec_of(8, 8, rounding, dtype), 1e-6, x, w, c, s));
  };
  CHECK(computed(Rounding::fused) == fused);
  CHECK(computed(Rounding::split) == split);
  CHECK(computed(Rounding::late_weight) == split);
  CHECK(computed(Rounding::hf) == hf);
  CHECK(computed(Rounding::eager) == eager);
  CHECK(computed(Rounding::hf_eager) == hf_eager);
  CHECK(computed(Rounding::late_weight_eager) == eager);
  // These values tell them apart.
  CHECK((fused != split && split != hf && split != eager && hf_eager != hf && hf_eager != eager));
}

TEST_CASE("what is not finite passes as IEEE says, and is judged", "[oracle]") {
  const Spec spec = spec_of(2, 0, Rounding::fused, DType::fp32);
  const auto infinite = compute(spec, 1e-6, {kInfinity, 1}, {1, 1});
  CHECK(std::isnan(infinite[0].rounded));
  CHECK(infinite[1].rounded == 0);
  CHECK((infinite[0].judged && infinite[1].judged));
  const auto zero = compute(spec, 0, {0, 0}, {1, 1});
  CHECK((std::isnan(zero[0].rounded) && zero[0].judged));
  CHECK(compute(spec, 1e-6, {0, 0}, {1, 1})[0].rounded == 0);
}

TEST_CASE("what fp32 overflows or underflows on is not judged", "[oracle]") {
  const Spec spec = spec_of(2, 0, Rounding::fused, DType::fp32);
  CHECK_FALSE(compute(spec, 1e-6, {1e30, 1}, {1, 1})[1].judged);    // the sum of squares
  CHECK_FALSE(compute(spec, 0, {1e-20, 1e-20}, {1, 1})[0].judged);  // the mean
  CHECK(compute(spec, 1e-6, {1e-20, 1e-20}, {1, 1})[0].judged);     // eps is the mean
  const auto weighted = compute(spec, 0, {1e-3, 1e-3}, {1e37, 1});
  CHECK_FALSE(weighted[0].judged);  // r * w
  CHECK(weighted[1].judged);
}
