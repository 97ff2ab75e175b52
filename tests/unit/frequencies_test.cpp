// The frequencies of computed angles: to the last bit, on every machine.
#include "op/frequencies.hpp"

#include <cfenv>
#include <cmath>
#include <cstdint>
#include <limits>

#include "kernels/turn.cuh"
#include "tests/catch.hpp"
#include "tests/unit/mentions.hpp"

using namespace qkjit;

namespace {

constexpr qkjit_frequencies kPlain = {1e4, 1, 1, 0, 0, 1};

std::shared_ptr<const AllFrequencies> take(const qkjit_frequencies& from, int rope_dim) {
  auto found = frequencies_of(from, rope_dim);
  REQUIRE(found.has_value());
  return *found;
}

__extension__ using Quad = __float128;

Quad power(Quad x, int n) {
  Quad result = 1;
  for (int i = 0; i < n; ++i) result *= x;
  return result;
}

/// base^(-angle/n): from the root that the C library gives, by Newton's method.
Quad power_of(double base, int angle, int n) {
  Quad root = std::pow(static_cast<long double>(base), 1.0L / n);
  for (int step = 0; step < 3; ++step) root -= root * (1 - base / power(root, n)) / n;
  return 1 / power(root, angle);
}

/// Radians as 2^-64 of a turn, not rounded.
Quad in_turns(Quad radians) {
  const Quad two_pi = static_cast<Quad>(0xc.90fdaa22168c235p-1L) - 0x1.d9cceba3f91f2p-64;
  return radians / two_pi * 0x1p64L;
}

bool is_nearest(std::uint64_t turns, Quad exact) {
  const Quad error = static_cast<Quad>(turns) - exact;
  UNSCOPED_INFO(turns << " is off by " << static_cast<double>(error));
  return error <= static_cast<Quad>(0.5001) && error >= static_cast<Quad>(-0.5001);
}

}  // namespace

TEST_CASE("plain frequencies are correctly rounded", "[frequencies]") {
  for (const double base : {1e4, 1.5, 256.0, 5e5, 1e6, 1e7, 1e18}) {
    for (const int angles : {1, 3, 32, 64, 127, 512}) {
      qkjit_frequencies from = kPlain;
      from.base = base;
      const auto found = take(from, 2 * angles);
      for (int i = 0; i<angles; i += angles> 100 ? 17 : 1) {
        INFO("base " << base << ", angle " << i << " of " << angles);
        REQUIRE(is_nearest(found->turns[i], in_turns(power_of(base, i, angles))));
      }
      CHECK(found->attention_factor == 1);
    }
  }
}

TEST_CASE("linear factor and YaRN change frequencies as their formula says", "[frequencies]") {
  const qkjit_frequencies linear = {1e4, 8, 1, 0, 0, 1};
  const qkjit_frequencies yarn = {1e6, 1, 4, 20.25, 45.5, 1.25};
  const qkjit_frequencies point = {1e4, 1, 16, 10, 10, 1};
  const auto by_linear = take(linear, 128), by_yarn = take(yarn, 128), by_point = take(point, 128);
  CHECK(by_yarn->attention_factor == 1.25f);
  for (int i = 0; i < 64; ++i) {
    INFO("angle " << i);
    const Quad four = power_of(1e4, i, 64), six = power_of(1e6, i, 64);
    CHECK(is_nearest(by_linear->turns[i], in_turns(four / 8)));
    const double ramp = std::fmin(std::fmax((i - 20.25) / 25.25, 0), 1);
    const Quad r = i <= 20 ? 0 : i >= 46 ? 1 : (static_cast<Quad>(i) - 20.25L) / 25.25L;
    CHECK(std::fabs(static_cast<double>(r) - ramp) < 1e-15);
    CHECK(is_nearest(by_yarn->turns[i], in_turns(six * (1 - r) + six / 4 * r)));
    CHECK(is_nearest(by_point->turns[i], in_turns(i <= 10 ? four : four / 16)));
  }
}

TEST_CASE("frequencies have the bits that they had, whatever rounding the host has set",
          "[frequencies]") {
  const qkjit_frequencies from = {1e6, 2, 4, 20.25, 45.5, 1.25};
  const auto mix = [&](double base) {
    qkjit_frequencies f = from;
    f.base = base;  // no thread has it yet
    std::uint64_t mixed = 0;
    for (const std::uint64_t turns : take(f, 256)->turns) {
      mixed = (mixed ^ turns) * 0x9e3779b97f4a7c15;
    }
    return mixed;
  };
  CHECK(mix(1e6) == 0x7fbbd99ccaebb512);
  std::fesetround(FE_UPWARD);
  const std::uint64_t upward = mix(1e5);
  std::fesetround(FE_TONEAREST);
  for (const double other : {1e3, 2e3, 3e3, 4e3}) mix(other);  // displace it
  CHECK(mix(1e5) == upward);
}

TEST_CASE("equal frequencies are computed once", "[frequencies]") {
  const auto first = take(kPlain, 64);
  CHECK(take(kPlain, 64) == first);
  CHECK(take(kPlain, 128) != first);
  qkjit_frequencies other = kPlain;
  other.attention_factor = 2;
  CHECK(take(other, 64) != first);
}

TEST_CASE("at position 1,000,000 cosine and sine are those of the exact angle", "[frequencies]") {
  const auto found = take(kPlain, 128);
  for (int i = 0; i < 64; ++i) {
    for (const std::uint64_t position : {1'000'000ull, 999'999ull, 1ull << 31}) {
      const Quad turns = in_turns(power_of(1e4, i, 64)) * position / 0x1p64L;
      const auto whole = static_cast<std::uint64_t>(turns);
      const auto angle = static_cast<long double>(turns - whole) * 2 * std::acos(-1.0L);
      const CosSin near = cos_sin_of_turn(position * found->turns[i]);
      INFO("angle " << i << " at " << position);
      CHECK(std::fabs(near.c - std::cos(angle)) < 0x1p-24L);
      CHECK(std::fabs(near.s - std::sin(angle)) < 0x1p-24L);
    }
  }
}

TEST_CASE("numbers that make no frequencies are refused", "[frequencies]") {
  const auto refuses = [](auto spoil, std::initializer_list<std::string_view> words) {
    qkjit_frequencies f = kPlain;
    spoil(f);
    return fails(frequencies_of(f, 64), Code::invalid_argument, words);
  };
  constexpr double kInfinity = std::numeric_limits<double>::infinity(), kNan = NAN;
  for (const double bad : {0.0, 1.0, -1e4, 1e19, kInfinity, kNan}) {
    CHECK(refuses([=](auto& f) { f.base = bad; }, {"frequencies.base", "above 1", "10000"}));
  }
  for (const double bad : {0.0, 0.5, -2.0, kInfinity, kNan}) {
    CHECK(refuses([=](auto& f) { f.linear_factor = bad; }, {"frequencies.linear_factor"}));
    CHECK(refuses([=](auto& f) { f.yarn_factor = bad; }, {"frequencies.yarn_factor"}));
  }
  CHECK(refuses([](auto& f) { f.yarn_low = 3; }, {"yarn_low is 3 and yarn_high 0"}));
  CHECK(refuses([=](auto& f) { f.yarn_high = kInfinity; }, {"yarn_high"}));
  CHECK(refuses([=](auto& f) { f.yarn_low = kNan; }, {"yarn_low"}));
  for (const double bad : {0.0, -1.0, 1e39, 1e-46, kInfinity, kNan}) {
    CHECK(refuses([=](auto& f) { f.attention_factor = bad; }, {"attention_factor", "fp32"}));
  }
}
