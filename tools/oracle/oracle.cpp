#include "tools/oracle/oracle.hpp"

#include <cmath>

#include "tools/oracle/number.hpp"

namespace qkjit::oracle {
namespace {

/// A rounding on the way to the result.
double stage(const Spec& spec, double value) {
  return spec.dtype == DType::fp32 ? value : rounded(spec.dtype, value);
}

double normalize(const Spec& spec, double x, double r, double w) {
  switch (spec.rounding) {
    case Rounding::fused:
      return x * (r * w);
    case Rounding::split:
    case Rounding::eager:
      return stage(spec, x * (r * w));
    case Rounding::hf:
      return stage(spec, stage(spec, x * r) * w);
    case Rounding::late_weight:
      return stage(spec, w * (x * r));
  }
  return NAN;
}

double product(const Spec& spec, double a, double b) {
  return spec.rounding == Rounding::eager ? stage(spec, a * b) : a * b;
}

bool overflows_fp32(double value) { return std::isfinite(value) && std::fabs(value) >= 0x1p127; }

/// Beyond fp32's normal numbers, and neither zero nor infinite.
bool leaves_fp32(double value) {
  return overflows_fp32(value) || (value != 0 && std::fabs(value) < 0x1p-126);
}

/// Where a sum of squares keeps its relative accuracy although its smallest terms underflow.
bool is_too_small_to_sum(double mean) { return mean != 0 && mean < 0x1p-100; }

/// `own` turned by its angle, s with the sign that it takes.
Element rotate(const Spec& spec, double c, double s, const Element& own, const Element& other) {
  const double a = own.exact, b = other.exact;
  const double magnitude = std::sqrt((a * a + b * b) * (c * c + s * s));
  bool judged = own.judged && other.judged;
  for (const double value : {a, b, a * c, b * s, b * c, a * s, magnitude}) {
    const bool meets_infinity = std::isinf(magnitude) && leaves_fp32(value);  // as 0 * infinity
    if (overflows_fp32(value) || meets_infinity) judged = false;
  }
  return {.exact = product(spec, a, c) + product(spec, b, s),
          .rounded = 0,
          .magnitude = magnitude,
          .judged = judged};
}

}  // namespace

void compute_row(const Spec& spec, double eps, const RowInput& row, std::span<Element> out) {
  double sum = 0;
  for (const double x : row.x) sum += x * x;
  const double mean = sum / spec.head_dim + eps;
  const double r = 1 / std::sqrt(mean);
  const bool row_judged = !leaves_fp32(sum + eps) && !is_too_small_to_sum(mean);

  for (std::size_t i = 0; i < out.size(); ++i) {
    const bool is_normed = spec.norm != Norm::none;
    const double w = is_normed ? row.weight[i] : 1;
    const double y = is_normed ? normalize(spec, row.x[i], r, w) : row.x[i];
    out[i] = {.exact = y,
              .rounded = 0,
              .magnitude = std::fabs(y),
              .judged = is_normed ? row_judged && !leaves_fp32(r * w) : !leaves_fp32(y)};
  }
  const auto half = static_cast<std::size_t>(spec.rope_dim / 2);
  const bool at_tail = spec.placement == RopePlacement::tail;
  const std::span<Element> rotated_part = at_tail ? out.last(2 * half) : out.first(2 * half);
  for (std::size_t pair = 0; pair < half; ++pair) {
    const bool neox = spec.layout == Layout::neox;
    Element& first = rotated_part[neox ? pair : 2 * pair];
    Element& second = rotated_part[neox ? pair + half : 2 * pair + 1];
    const Element turned = rotate(spec, row.cosines[pair], -row.sines[pair], first, second);
    second = rotate(spec, row.cosines[pair + half], row.sines[pair + half], second, first);
    first = turned;
  }
  for (Element& element : out) element.rounded = rounded(spec.dtype, element.exact);
}

}  // namespace qkjit::oracle
