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
    case Rounding::hf_eager:
      return stage(spec, stage(spec, x * r) * w);
    case Rounding::late_weight:
    case Rounding::late_weight_eager:
      return stage(spec, w * (x * r));
  }
  return NAN;
}

/// Only the `hf` modes round between the product and the sum.
double normalize(const Spec& spec, double x, double r, double w, double b) {
  if (normalises_as_hf(spec)) return stage(spec, normalize(spec, x, r, w) + b);
  const double y = x * r * w + b;
  return spec.rounding == Rounding::fused ? y : stage(spec, y);
}

double product(const Spec& spec, double a, double b) {
  return rounds_products(spec) ? stage(spec, a * b) : a * b;
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
  const double m = own.magnitude, n = other.magnitude;
  const double magnitude = std::sqrt((m * m + n * n) * (c * c + s * s));
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

void rotate_row(const Spec& spec, std::span<const double> cosines, std::span<const double> sines,
                std::span<Element> y) {
  const auto half = static_cast<std::size_t>(spec.rope_dim / 2);
  const bool at_tail = spec.placement == RopePlacement::tail;
  const std::span<Element> rotated_part = at_tail ? y.last(2 * half) : y.first(2 * half);
  for (std::size_t pair = 0; pair < half; ++pair) {
    const bool neox = spec.layout == Layout::neox;
    Element& first = rotated_part[neox ? pair : 2 * pair];
    Element& second = rotated_part[neox ? pair + half : 2 * pair + 1];
    const Element turned = rotate(spec, cosines[pair], -sines[pair], first, second);
    second = rotate(spec, cosines[pair + half], sines[pair + half], second, first);
    first = turned;
  }
}

/// Subtracts the mean. fp32 errs by up to 2^-20 of the elements' mean size in the mean, and by that
/// much again where the difference carries on; where this is no small part of the row's deviation,
/// double says nothing about the result.
void centre_row(double eps, std::span<Element> y) {
  const auto count = static_cast<double>(y.size());
  double sum = 0, size = 0, squares = 0;
  for (const Element& element : y) sum += element.exact, size += element.magnitude;
  const double mean = sum / count, mean_size = size / count;
  for (const Element& element : y) squares += (element.exact - mean) * (element.exact - mean);
  const bool is_steep = mean_size > 0x1p10 * std::sqrt(squares / count + eps);
  const bool judged = !is_steep && !overflows_fp32(size) && !is_too_small_to_sum(mean_size);
  for (Element& element : y) {
    element.exact -= mean;
    element.magnitude += 2 * mean_size;
    element.judged = element.judged && judged;
  }
}

void normalize_row(const Spec& spec, double eps, const RowInput& row, std::span<Element> y) {
  if (row.norm == Norm::layer) centre_row(eps, y);
  double sum = 0;
  bool judged = true;
  for (const Element& element : y) {
    sum += element.exact * element.exact;
    judged = judged && element.judged;
  }
  const double mean = sum / static_cast<double>(y.size()) + eps;
  const double r = 1 / std::sqrt(mean);
  judged = judged && !leaves_fp32(sum + eps) && !is_too_small_to_sum(mean);
  for (std::size_t i = 0; i < y.size(); ++i) {
    const double stored = spec.weight == Weight::none ? 1 : row.weight[i];
    const double w = spec.weight == Weight::one_plus ? 1 + stored : stored;
    const bool with_bias = row.norm == Norm::layer && spec.bias == Bias::yes;
    const double b = with_bias ? row.bias[i] : 0;
    const double x = y[i].exact, product = x * r * w;
    y[i].exact = with_bias ? normalize(spec, x, r, w, b) : normalize(spec, x, r, w);
    y[i].magnitude =
        std::fmax(y[i].magnitude * std::fabs(r * w) + std::fabs(b), std::fabs(y[i].exact));
    y[i].judged = judged && !leaves_fp32(r * w) && !(with_bias && overflows_fp32(product));
    // Beside another head that is large, all of a head may underflow, and is not rounded as numbers
    // are that do not.
    const bool is_lost = leaves_fp32(x * r) || leaves_fp32(product);
    if (spec.norm_scope == NormScope::token && is_lost) y[i].judged = false;
  }
}

}  // namespace

void compute_row(const Spec& spec, double eps, const RowInput& row, std::span<Element> out) {
  const auto normalize_if = [&](NormOrder order) {
    if (row.norm != Norm::none && spec.norm_order == order) normalize_row(spec, eps, row, out);
  };
  const bool is_normed = row.norm != Norm::none;
  const bool norm_first = is_normed && spec.norm_order == NormOrder::before;  // judges the sum
  for (std::size_t i = 0; i < out.size(); ++i) {
    const double x = row.x[i];
    out[i] = {.exact = x,
              .rounded = 0,
              .magnitude = std::fabs(x),
              .judged = norm_first || !leaves_fp32(x)};
  }
  normalize_if(NormOrder::before);
  const auto head_dim = static_cast<std::size_t>(spec.head_dim);
  const auto rope_dim = static_cast<std::size_t>(spec.rope_dim);
  for (std::size_t head = 0; head < out.size(); head += head_dim) {
    const bool has_own = spec.table_heads == TableHeads::per_head;
    const std::size_t angles = has_own ? head / head_dim * rope_dim : 0;
    rotate_row(spec, row.cosines.subspan(angles), row.sines.subspan(angles),
               out.subspan(head, head_dim));
  }
  if (is_normed && spec.norm_order == NormOrder::after && spec.rounding != Rounding::fused) {
    for (Element& element : out) element.exact = stage(spec, element.exact);
  }
  normalize_if(NormOrder::after);
  for (Element& element : out) element.rounded = rounded(spec.dtype, element.exact);
}

}  // namespace qkjit::oracle
