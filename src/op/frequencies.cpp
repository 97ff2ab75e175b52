#include "op/frequencies.hpp"

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>

#include "util/double_double.hpp"
#include "util/float_environment.hpp"

namespace qkjit {
namespace {

constexpr double kMostBase = 1e18;

Result<void> check(const qkjit_frequencies& f) {
  if (!(f.base > 1 && f.base <= kMostBase)) {
    return fail(Code::invalid_argument,
                "frequencies.base is {}: with angles=computed it must be above 1 and at most {}, "
                "such as 10000",
                f.base, kMostBase);
  }
  struct Named {
    const char* name;
    double value;
  };
  for (const auto& [name, factor] :
       {Named{"linear_factor", f.linear_factor}, Named{"yarn_factor", f.yarn_factor}}) {
    if (factor >= 1 && std::isfinite(factor)) continue;
    return fail(Code::invalid_argument,
                "frequencies.{} is {}: it divides frequencies and must be finite and at least 1; 1 "
                "leaves them as they are",
                name, factor);
  }
  if (!std::isfinite(f.yarn_low) || !std::isfinite(f.yarn_high) || f.yarn_low > f.yarn_high) {
    return fail(Code::invalid_argument,
                "frequencies.yarn_low is {} and yarn_high {}: give finite numbers of angles, the "
                "lower one first",
                f.yarn_low, f.yarn_high);
  }
  using Single = std::numeric_limits<float>;
  if (!(f.attention_factor >= Single::min() && f.attention_factor <= Single::max())) {
    return fail(Code::invalid_argument,
                "frequencies.attention_factor is {}: it multiplies cosines and sines and must be a "
                "positive fp32 number; 1 leaves them as they are",
                f.attention_factor);
  }
  return {};
}

/// base^(1/n). The guess is a product of square roots, by the binary digits of 1/n: good for 14
/// decimals, which two steps of Newton's method make 100 bits.
DoubleDouble root(double base, int n) {
  double guess = 1, digits = 1.0 / n, part = base;
  for (int i = 0; i < 60; ++i) {
    part = std::sqrt(part), digits *= 2;
    if (digits >= 1) guess *= part, digits -= 1;
  }
  DoubleDouble y{guess};
  for (int i = 0; i < 2; ++i) {
    const DoubleDouble error = power(y, n) / DoubleDouble{base} - DoubleDouble{1};
    y = y - y * error / DoubleDouble{static_cast<double>(n)};
  }
  return y;
}

/// How much of YaRN's interpolation angle `i` gets, from 0 to 1.
DoubleDouble yarn_ramp(const qkjit_frequencies& f, int i) {
  // As published: equal ends would divide by 0.
  const double high = f.yarn_high - f.yarn_low <= 1e-6 ? f.yarn_high + 0.001 : f.yarn_high;
  if (i <= f.yarn_low) return {0};
  if (i >= high) return {1};
  return exact_sum(i, -f.yarn_low) / exact_sum(high, -f.yarn_low);
}

/// A frequency in radians, at most 1, as 2^-64 of a turn.
std::uint64_t in_turns(DoubleDouble radians) {
  constexpr DoubleDouble kInTurn{0x1.45f306dc9c883p-3, -0x1.6b01ec5417056p-57};  // 1 / (2 pi)
  const DoubleDouble turns = radians * kInTurn;
  const double whole = std::floor(turns.high * 0x1p64);
  const double rest = (turns.high * 0x1p64 - whole) + turns.low * 0x1p64;
  return static_cast<std::uint64_t>(whole) +
         static_cast<std::uint64_t>(static_cast<std::int64_t>(std::floor(rest + 0.5)));
}

AllFrequencies compute(const qkjit_frequencies& f, int angles) {
  const FloatEnvironment ieee;
  AllFrequencies all{static_cast<float>(f.attention_factor), {}};
  const DoubleDouble ratio = root(f.base, angles), linear{f.linear_factor};
  const DoubleDouble yarn{f.yarn_factor}, one{1};
  DoubleDouble power{1};  // base^(2i/rope_dim)
  for (int i = 0; i < angles; ++i) {
    const DoubleDouble extrapolated = one / (power * linear);
    const DoubleDouble ramp = yarn_ramp(f, i);
    all.turns[i] = in_turns(extrapolated / yarn * ramp + extrapolated * (one - ramp));
    power = power * ratio;
  }
  return all;
}

struct Kept {
  qkjit_frequencies from;
  int rope_dim = 0;  ///< 0: empty
  std::shared_ptr<const AllFrequencies> frequencies;
};

}  // namespace

Result<std::shared_ptr<const AllFrequencies>> frequencies_of(const qkjit_frequencies& from,
                                                             int rope_dim) {
  thread_local std::array<Kept, 4> kept;  // a model has one or two
  thread_local std::size_t next = 0;
  for (const Kept& k : kept) {
    if (k.rope_dim == rope_dim && std::memcmp(&k.from, &from, sizeof(from)) == 0) {
      return k.frequencies;
    }
  }
  if (auto checked = check(from); !checked) return tl::unexpected(checked.error());
  auto computed = std::make_shared<const AllFrequencies>(compute(from, rope_dim / 2));
  kept[next] = {from, rope_dim, computed};
  next = (next + 1) % kept.size();
  return computed;
}

}  // namespace qkjit
