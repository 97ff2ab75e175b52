// FP8 e4m3 against its definition: every number, every midpoint between two, and floats all over
// the range.
#include "kernels/fp8.cuh"

#include <array>
#include <bit>
#include <cmath>
#include <limits>

#include "tests/catch.hpp"
#include "tools/oracle/fp8.hpp"

using namespace qkjit;

namespace {

/// From the definition: the bits of the nearest number, of two the even one.
unsigned expected_bits(float x) {
  if (std::isnan(x)) return 0x7f;
  const double value = oracle::rounded_e4m3(x);
  for (unsigned bits = 0; bits < 256; ++bits) {
    if (oracle::decode_e4m3(bits) == value && (bits >> 7 != 0) == std::signbit(x)) return bits;
  }
  return 256;
}

}  // namespace

TEST_CASE("e4m3: the numbers are those of the definition", "[fp8]") {
  CHECK(oracle::decode_e4m3(0x00) == 0);
  CHECK(oracle::decode_e4m3(0x01) == 0x1p-9);
  CHECK(oracle::decode_e4m3(0x08) == 0x1p-6);
  CHECK(oracle::decode_e4m3(0x38) == 1);
  CHECK(oracle::decode_e4m3(0xb9) == -1.125);
  CHECK(oracle::decode_e4m3(0x7e) == 448);
  CHECK((std::isnan(oracle::decode_e4m3(0x7f)) && std::isnan(oracle::decode_e4m3(0xff))));
}

TEST_CASE("e4m3: numbers and midpoints, with their neighbours among floats", "[fp8]") {
  for (unsigned bits = 0; bits < 0x7f; ++bits) {
    const auto number = static_cast<float>(oracle::decode_e4m3(bits));
    const auto next = static_cast<float>(bits == 0x7e ? 480 : oracle::decode_e4m3(bits + 1));
    for (const float x : {number, (number + next) / 2}) {
      for (const float y : {x, std::nextafter(x, 0.0f), std::nextafter(x, 1000.0f)}) {
        CHECK(float_to_e4m3(y) == expected_bits(y));
        CHECK(float_to_e4m3(-y) == expected_bits(-y));
      }
    }
  }
}

TEST_CASE("e4m3: floats of every exponent, infinity and NaN", "[fp8]") {
  unsigned wrong = 0;
  for (unsigned high = 0; high < 0x10000; high += 7) {
    for (const unsigned low : {0u, 1u, 0x7fffu, 0x8000u, 0xffffu}) {
      const float x = std::bit_cast<float>(high << 16 | low);
      wrong += float_to_e4m3(x) != expected_bits(x);
    }
  }
  CHECK(wrong == 0);
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  CHECK((float_to_e4m3(kInfinity) == 0x7e && float_to_e4m3(-kInfinity) == 0xfe));
  CHECK((float_to_e4m3(1e30f) == 0x7e && float_to_e4m3(-449) == 0xfe));
  CHECK(float_to_e4m3(-std::numeric_limits<float>::quiet_NaN()) == 0x7f);
  CHECK((float_to_e4m3(-0.0f) == 0x80 && pack_e4m3(1, -448) == 0xfe38));
}

TEST_CASE("fp8: a found scale stores the largest magnitude as 448, and is never 0", "[fp8]") {
  float largest = 0;
  for (const float x : {1.0f, -3.5f, std::nanf(""), 2.0f}) largest = larger_magnitude(largest, x);
  CHECK(largest == 3.5f);
  CHECK(scale_of(largest) == 3.5f / 448);
  for (const float x : {3.5f, 1e-2f, 7.7f, 3e30f}) {
    CHECK(float_to_e4m3(x * inverse_of(scale_of(x))) == 0x7e);
  }
  CHECK(scale_of(0) == 1.0f / (448 * 512));
  CHECK(scale_of(1e-9f) == 1.0f / (448 * 512));
}

TEST_CASE("a scale is the quotient, and its inverse correctly rounded, whatever the mantissa",
          "[fp8]") {
  std::uint32_t wrong = 0;
  for (std::uint32_t mantissa = 0; mantissa < 1u << 23; ++mantissa) {
    const float largest = std::bit_cast<float>(127u << 23 | mantissa);
    wrong += scale_of(largest) != largest / 448;
    wrong += inverse_of_found(largest) != 1 / largest;
  }
  CHECK(wrong == 0);
  const float huge = std::numeric_limits<float>::max();
  CHECK(scale_of(huge) == huge / 448);
  const float infinity = std::numeric_limits<float>::infinity();
  CHECK(scale_of(infinity) == infinity);
  CHECK(inverse_of_found(infinity) == 0);
}
