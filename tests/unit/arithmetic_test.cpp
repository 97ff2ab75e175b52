// The host's conversions and reciprocal square root against exact computations of another kind.
#include "kernels/arithmetic.cuh"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "tests/catch.hpp"

using namespace qkjit;

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

/// A 16-bit format by IEEE 754's definition: what each magnitude means, in double, exactly.
struct Definition {
  int mantissa_bits;
  int bias;

  double value(unsigned magnitude) const {
    const int exponent = static_cast<int>(magnitude >> mantissa_bits);
    const unsigned implicit = exponent > 0 ? 1u << mantissa_bits : 0;
    const unsigned mantissa = magnitude & ((1u << mantissa_bits) - 1);
    return std::ldexp(mantissa + implicit, std::max(exponent, 1) - bias - mantissa_bits);
  }
  unsigned infinity() const { return 0x7fff & ~((1u << mantissa_bits) - 1); }

  /// The nearest magnitude, the even one of two; infinity counts as the next power of two.
  unsigned round(double x) const {
    unsigned low = 0, high = infinity();
    if (x >= value(high)) return high;
    while (high - low > 1) (value((low + high) / 2) <= x ? low : high) = (low + high) / 2;
    const double below = x - value(low), above = value(high) - x;
    if (below != above) return below < above ? low : high;
    return low % 2 == 0 ? low : high;
  }
};

constexpr Definition kBf16 = {7, 127};
constexpr Definition kFp16 = {10, 15};

/// Floats around each value of the format and around each boundary between two of them.
std::vector<float> rounding_cases(const Definition& format) {
  std::vector<float> cases = {std::numeric_limits<float>::max(), kInfinity,
                              std::numeric_limits<float>::denorm_min()};
  for (unsigned magnitude = 0; magnitude < format.infinity(); ++magnitude) {
    const double value = format.value(magnitude);
    const double half = (format.value(magnitude + 1) - value) / 2;
    for (const double at : {value, value + half / 2, value + half}) {
      const float x = static_cast<float>(at);
      for (const float y : {std::nextafter(x, 0.0f), x, std::nextafter(x, kInfinity)}) {
        cases.push_back(y);
      }
    }
  }
  return cases;
}

template <DType kDType>
void check_format(const Definition& format) {
  using F = Format<kDType>;
  for (unsigned bits = 0; bits < 0x10000; ++bits) {
    const unsigned magnitude = bits & 0x7fff;
    const float x = F::load(static_cast<unsigned short>(bits));
    bool right = std::signbit(x) == (bits > 0x7fff) && F::store(x) == bits;
    if (magnitude < format.infinity()) right = right && std::abs(x) == format.value(magnitude);
    if (magnitude == format.infinity()) right = right && std::isinf(x);
    if (magnitude > format.infinity()) right = std::isnan(x) && F::store(x) == kNan16;
    INFO("bits " << bits << " load as " << x << ", which is stored as " << F::store(x));
    if (!right) FAIL();
  }
  for (const float x : rounding_cases(format)) {
    const unsigned expected = format.round(x);
    INFO(x << " is stored as " << F::store(x) << ", expected " << expected);
    if (F::store(x) != expected || F::store(-x) != (expected | 0x8000)) FAIL();
  }
}

/// Whether y is the float nearest to 1/sqrt(x) for x = mantissa * 2^-22 / scale, in [1, 4), and y
/// in (0.5, 1]: with y = n * 2^-24, (2n-1)^2 x < 2^50 < (2n+1)^2 x, in integers.
bool is_rsqrt(float y, unsigned mantissa, unsigned scale) {
  __extension__ using Wide = unsigned __int128;
  const auto n = static_cast<std::uint64_t>(y * 0x1p24f);
  const Wide one = Wide{scale} << 72;
  const Wide low = Wide{(2 * n - 1) * (2 * n - 1)} * mantissa;
  const Wide high = Wide{(2 * n + 1) * (2 * n + 1)} * mantissa;
  return 0.5f <= y && y <= 1.0f && low < one && one < high;
}

}  // namespace

TEST_CASE("bf16: every value, and every rounding case", "[arithmetic]") {
  check_format<DType::bf16>(kBf16);
}

TEST_CASE("fp16: every value, and every rounding case", "[arithmetic]") {
  check_format<DType::fp16>(kFp16);
}

TEST_CASE("every NaN is stored as the one that the hardware writes", "[arithmetic]") {
  for (const unsigned bits : {0x7f800001u, 0x7fc00000u, 0xffc00000u, 0xffffffffu}) {
    const float nan = float_of(bits);
    CHECK(Format<DType::bf16>::store(nan) == 0x7fff);
    CHECK(Format<DType::fp16>::store(nan) == 0x7fff);
    CHECK(bits_of(Format<DType::fp32>::store(nan)) == 0x7fffffff);
  }
  CHECK(bits_of(Format<DType::fp32>::store(-0.0f)) == 0x80000000);
  CHECK(Format<DType::fp32>::store(-kInfinity) == -kInfinity);
}

TEST_CASE("rsqrt_refined is correctly rounded for every mantissa of two binades", "[arithmetic]") {
  for (const unsigned scale : {2u, 1u}) {
    for (unsigned mantissa = 1u << 23; mantissa < 1u << 24; ++mantissa) {
      const float x = static_cast<float>(mantissa) * 0x1p-22f / static_cast<float>(scale);
      const float near = rsqrt_near(x);
      for (const float y : {near, std::nextafter(near, 0.0f), std::nextafter(near, kInfinity)}) {
        if (is_rsqrt(rsqrt_refined(x, y), mantissa, scale)) continue;
        FAIL("rsqrt_refined(" << x << ", " << y << ") = " << rsqrt_refined(x, y));
      }
    }
  }
}

TEST_CASE("rsqrt_rn of every exponent, and of what is no ordinary number", "[arithmetic]") {
  for (int mantissa = 1 << 22; mantissa < 1 << 24; mantissa += 99991) {
    const float x = std::ldexp(static_cast<float>(mantissa), -22);
    for (int k = -63; k <= 62; ++k) {
      CHECK(rsqrt_rn(std::ldexp(x, 2 * k)) == std::ldexp(rsqrt_rn(x), -k));
    }
  }
  for (int mantissa = 1; mantissa < 1 << 23; mantissa = mantissa * 3 + 1) {  // subnormal
    const float x = static_cast<float>(mantissa);
    CHECK(rsqrt_rn(std::ldexp(x, -148)) == std::ldexp(rsqrt_rn(x), 74));
  }
  CHECK(rsqrt_rn(0.0f) == kInfinity);
  CHECK(rsqrt_rn(kInfinity) == 0.0f);
  CHECK(std::isnan(rsqrt_rn(-1.0f)));
  CHECK(std::isnan(rsqrt_rn(kNaN)));
}
