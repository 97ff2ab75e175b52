#include "tools/oracle/fp8.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "tools/oracle/heads.hpp"

namespace qkjit::oracle {
namespace {

constexpr double kLargest = 448;
constexpr double kLeastScale = 1 / (448.0 * 512.0);
/// fp32 rounds the inverse of a scale and the product with it, or the quotient that is a scale.
constexpr double kRounding = 0x1p-22;

/// Those from 0 on, by their bits.
std::array<double, 127> positive_numbers() {
  std::array<double, 127> numbers;
  for (unsigned bits = 0; bits < numbers.size(); ++bits) numbers[bits] = decode_e4m3(bits);
  return numbers;
}

std::int64_t slot_at(const qkjit_tensor& slot_mapping, std::int64_t token) {
  if (slot_mapping.dtype == QKJIT_INT64) {
    return static_cast<const std::int64_t*>(slot_mapping.data)[token];
  }
  return static_cast<const std::int32_t*>(slot_mapping.data)[token];
}

/// What a row asks for, and by how much it may be off.
struct WantedScale {
  double scale, off;
  bool judged;
};

WantedScale scale_wanted(std::span<const Value> row) {
  double largest = 0, off = 0;
  for (const Value& value : row) {
    if (!value.judged) return {0, 0, false};
    if (std::isnan(value.value)) continue;
    largest = std::max(largest, std::fabs(value.value));
    off = std::max(off, value.tolerance);
  }
  const double scale = std::max(largest / kLargest, kLeastScale);
  return {scale, std::isinf(scale) ? 0 : off / kLargest + kRounding * scale, true};
}

}  // namespace

double decode_e4m3(unsigned bits) {
  const int exponent = static_cast<int>(bits >> 3 & 15), mantissa = static_cast<int>(bits & 7);
  const double magnitude = exponent == 15 && mantissa == 7 ? NAN
                           : exponent == 0                 ? std::ldexp(mantissa, -9)
                                           : std::ldexp(8 + mantissa, exponent - 10);
  return bits & 0x80 ? -magnitude : magnitude;
}

double rounded_e4m3(double x) {
  static const std::array<double, 127> numbers = positive_numbers();
  if (std::isnan(x)) return x;
  const double size = std::fabs(x);
  const auto above = std::ranges::lower_bound(numbers, size);
  if (above == numbers.end()) return std::copysign(kLargest, x);
  if (*above == size) return x;
  const auto below = above - 1;
  const double to_below = size - *below, to_above = *above - size;
  const bool even_below = (below - numbers.begin()) % 2 == 0;
  const bool goes_down = to_below < to_above || (to_below == to_above && even_below);
  return std::copysign(goes_down ? *below : *above, x);
}

Value value_for_fp8(const Spec& spec, const Element& element) {
  const bool is_fp32 = spec.rounding == Rounding::fused || spec.dtype == DType::fp32;
  return {is_fp32 ? element.exact : element.rounded, tolerance(spec, element), element.judged};
}

Value exact_value(double x) { return {x, 0, true}; }

bool is_scale_of(std::span<const Value> row, double scale) {
  const WantedScale wanted = scale_wanted(row);
  return !wanted.judged || scale == wanted.scale || std::fabs(scale - wanted.scale) <= wanted.off;
}

bool is_scale_beyond(std::span<const Value> row, double scale) {
  const WantedScale wanted = scale_wanted(row);
  return !wanted.judged || scale >= wanted.scale - wanted.off;
}

Verdict judge_fp8(const Value& value, double scale, unsigned actual) {
  const double given = decode_e4m3(actual), expected = rounded_e4m3(value.value / scale);
  if (std::isnan(expected)) return actual == 0x7f ? Verdict::exact : Verdict::wrong;
  if (given == expected) return Verdict::exact;
  const double off = value.tolerance + kRounding * std::fabs(value.value);
  const double a = rounded_e4m3((value.value - off) / scale);
  const double b = rounded_e4m3((value.value + off) / scale);
  const bool is_near = std::min(a, b) <= given && given <= std::max(a, b);
  return is_near ? Verdict::within : Verdict::wrong;
}

double off_in_ulps(const Value& value, double scale, unsigned actual) {
  const double wanted = value.value / scale;
  if (!std::isfinite(wanted)) return INFINITY;
  const int exponent = wanted == 0 ? -6 : std::max(std::ilogb(wanted), -6);
  return std::fabs(decode_e4m3(actual) - wanted) / std::ldexp(1, exponent - 3);
}

double scale_at(const qkjit_tensor& t, OutScale whose, std::int64_t batch, std::int64_t token,
                std::int64_t head) {
  const bool is_found = whose != OutScale::given, has_heads = whose != OutScale::token;
  // Dimensions of the head, the token and the batch, which may all be missing.
  const int of_head = has_heads ? t.rank - 1 : -1;
  const int of_token = is_found ? t.rank - 1 - (has_heads ? 1 : 0) : -1;
  const int of_batch = is_found ? of_token - 1 : of_head - 1;
  const auto offset = [&](int dimension, std::int64_t index) {
    const bool is_shared = dimension < 0 || t.shape[dimension] == 1;
    return is_shared ? 0 : index * t.strides[dimension];
  };
  return static_cast<const float*>(
      t.data)[offset(of_head, head) + offset(of_token, token) + offset(of_batch, batch)];
}

std::optional<std::int64_t> row_of(const qkjit_args& args, const Output& output, std::int64_t batch,
                                   std::int64_t token, std::int64_t head) {
  const Heads to(output.out);
  if (!output.is_paged) return to.row(batch, token, head);
  const std::int64_t slot = slot_at(args.slot_mapping, batch * Heads(args.k).tokens() + token);
  if (slot < 0) return std::nullopt;
  return to.row(slot / to.tokens(), slot % to.tokens(), head);
}

}  // namespace qkjit::oracle
