// Cosine and sine of exact fractions of a turn: as near as they say, and in the right quarter.
#include "kernels/turn.cuh"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <utility>

#include "tests/catch.hpp"

using namespace qkjit;

namespace {

constexpr std::uint64_t kQuarter = 1ull << 62;

/// cos and sin of a phase in long double: reduced by whole eighths, so that nothing is lost where
/// one of them is nearly 0.
std::pair<long double, long double> exact(std::uint64_t phase) {
  const std::uint64_t quarter = (phase + kQuarter / 2) / kQuarter % 4;
  const auto rest = static_cast<std::int64_t>(phase - quarter * kQuarter);
  const long double angle = static_cast<long double>(rest) * 0x1p-64L * 2 * std::acos(-1.0L);
  const long double c = std::cos(angle), s = std::sin(angle);
  const std::pair<long double, long double> turned[] = {{c, s}, {-s, c}, {-c, -s}, {s, -c}};
  return turned[quarter];
}

/// By how many ulps of the exact value `x` is off.
double ulps(float x, long double exact) {
  const auto nearest = static_cast<float>(std::fabs(exact));
  const float spacing = std::max(std::nextafter(nearest, 2.0f) - nearest, 0x1p-149f);
  return static_cast<double>(std::fabs(x - exact) / spacing);
}

double worst_ulps(std::uint64_t phase) {
  const auto [c, s] = exact(phase);
  const CosSin found = cos_sin_of_turn(phase);
  return std::max(ulps(found.c, c), ulps(found.s, s));
}

}  // namespace

TEST_CASE("cosine and sine of a turn are within 1.5 ulp", "[turn]") {
  std::mt19937_64 random(1);
  double worst = 0;
  for (int i = 0; i < 2'000'000; ++i) worst = std::max(worst, worst_ulps(random()));
  // Near the axes, where one of them is small, at every size.
  for (int i = 0; i < 500'000; ++i) {
    const std::uint64_t small = random() >> (random() % 63);
    worst = std::max(worst, worst_ulps(random() % 4 * kQuarter + (i % 2 ? small : -small)));
  }
  INFO(worst);
  CHECK(worst <= 1.5);
  CHECK(worst > 0.5);  // else nothing was measured
}

TEST_CASE("quarter turns are exact, and eighths change sides", "[turn]") {
  constexpr std::pair<float, float> kQuarters[] = {{1, 0}, {0, 1}, {-1, 0}, {0, -1}};
  for (std::uint64_t quarter = 0; quarter < 4; ++quarter) {
    const CosSin found = cos_sin_of_turn(quarter * kQuarter);
    CHECK(std::pair(found.c, found.s) == kQuarters[quarter]);
    for (const std::uint64_t offset : {-1ull, 0ull, 1ull}) {
      CHECK(worst_ulps(quarter * kQuarter + kQuarter / 2 + offset) <= 1.5);
    }
  }
}

TEST_CASE("a turn has the bits that it had", "[turn]") {
  std::mt19937_64 random(7);
  std::uint64_t mixed = 0;
  for (int i = 0; i < 100'000; ++i) {
    const CosSin found = cos_sin_of_turn(random());
    mixed = (mixed ^ bits_of(found.c)) * 0x9e3779b97f4a7c15;
    mixed = (mixed ^ bits_of(found.s)) * 0x9e3779b97f4a7c15;
  }
  CHECK(mixed == 0x6c4df902c40d2569);
}
