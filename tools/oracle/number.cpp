#include "tools/oracle/number.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

namespace qkjit::oracle {
namespace {

/// Numbers are m * 2^(e - fraction_bits), with e in [min_exponent, max_exponent] and integers m
/// below 2^(fraction_bits + 1).
struct Grid {
  int fraction_bits, min_exponent, max_exponent;

  double largest() const { return std::ldexp(2 - std::ldexp(1, -fraction_bits), max_exponent); }
  std::uint32_t infinity_bits() const {
    return static_cast<std::uint32_t>(max_exponent - min_exponent + 2) << fraction_bits;
  }
};

constexpr Grid grid_of(DType dtype) {
  switch (dtype) {
    case DType::bf16:
      return {7, -126, 127};
    case DType::fp16:
      return {10, -14, 15};
    case DType::fp32:
      return {23, -126, 127};
  }
  return {};
}

/// 2^exponent for a normal double; much faster than std::ldexp.
double power_of_two(int exponent) {
  return std::bit_cast<double>(static_cast<std::uint64_t>(exponent + 1023) << 52);
}

int exponent_of(const Grid& grid, double x) {
  const int exponent = static_cast<int>(std::bit_cast<std::uint64_t>(x) >> 52 & 0x7ff) - 1023;
  return std::clamp(exponent, grid.min_exponent, grid.max_exponent);
}

double decode(DType dtype, std::uint32_t magnitude) {
  const Grid grid = grid_of(dtype);
  if (magnitude > grid.infinity_bits()) return std::numeric_limits<double>::quiet_NaN();
  if (magnitude == grid.infinity_bits()) return std::numeric_limits<double>::infinity();
  const std::uint32_t field = magnitude >> grid.fraction_bits;
  const std::uint32_t implicit_bit = field > 0 ? 1u << grid.fraction_bits : 0;
  const std::uint32_t fraction = magnitude & ((1u << grid.fraction_bits) - 1);
  const int exponent = std::max(static_cast<int>(field), 1) - 1 + grid.min_exponent;
  return (implicit_bit + fraction) * power_of_two(exponent - grid.fraction_bits);
}

std::uint32_t encode(DType dtype, double x) {
  const Grid grid = grid_of(dtype);
  const std::uint32_t sign = dtype == DType::fp32 ? 0x8000'0000 : 0x8000;
  if (std::isnan(x)) return sign - 1;
  const double value = rounded(dtype, x);
  const std::uint32_t sign_bit = std::signbit(value) ? sign : 0;
  if (std::isinf(value)) return sign_bit | grid.infinity_bits();
  const int exponent = exponent_of(grid, value);
  const auto integer =
      static_cast<std::uint32_t>(std::fabs(value) / power_of_two(exponent - grid.fraction_bits));
  // The integer's implicit bit, if any, carries into the exponent field.
  return sign_bit |
         ((static_cast<std::uint32_t>(exponent - grid.min_exponent) << grid.fraction_bits) +
          integer);
}

}  // namespace

double ulp(DType dtype, double x) {
  const Grid grid = grid_of(dtype);
  return power_of_two(exponent_of(grid, x) - grid.fraction_bits);
}

double rounded(DType dtype, double x) {
  if (!std::isfinite(x)) return x;
  const double unit = ulp(dtype, x);
  const double value = std::nearbyint(x / unit) * unit;
  if (std::fabs(value) <= grid_of(dtype).largest()) return value;
  return std::copysign(std::numeric_limits<double>::infinity(), x);
}

double load(DType dtype, const void* array, std::int64_t index) {
  if (dtype == DType::fp32) {
    const std::uint32_t bits = static_cast<const std::uint32_t*>(array)[index];
    return std::copysign(decode(dtype, bits & 0x7fff'ffff), bits >> 31 ? -1.0 : 1.0);
  }
  const std::uint32_t bits = static_cast<const std::uint16_t*>(array)[index];
  return std::copysign(decode(dtype, bits & 0x7fff), bits >> 15 ? -1.0 : 1.0);
}

void store(DType dtype, double x, void* array, std::int64_t index) {
  const std::uint32_t bits = encode(dtype, x);
  if (dtype == DType::fp32) {
    static_cast<std::uint32_t*>(array)[index] = bits;
  } else {
    static_cast<std::uint16_t*>(array)[index] = static_cast<std::uint16_t>(bits);
  }
}

}  // namespace qkjit::oracle
