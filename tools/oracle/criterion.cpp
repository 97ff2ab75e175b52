// How much may fp32 arithmetic differ from the oracle? Every operation errs by at most 2^-24 of its
// result, and for head_dim up to 1024 the sum of squares takes at most 15 of them in a row (8 in a
// chunk, 7 over chunks); 1/head_dim and the mean add 2, and the root halves these 17 and adds its
// own. Two products more make y, and a product and a sum the rotation, where |a c| + |b s| is at
// most the pair's magnitude: 13.5 * 2^-24 of the magnitude at most, which is below kRounding.
// Computed cosines and sines err by 1.5 ulp, and by the attention factor and its product by 1
// more: 2.5 * 2^-24 of the magnitude, which just fits in as well.
//
// That decides nearly always the same way as the oracle when a value is rounded to 16 bits. Where
// it does not, a rounding goes to the other neighbour, and that is all that may happen:
//   fused        the result is the other neighbour (1 ulp), or after cancellation, when the ulp is
//                smaller than fp32's own error, within that error
//   split,       a and b may each be off by one ulp: by at most sqrt(2) ulps of the magnitude after
//   late_weight  rotation, and 1 for the rounding of the result; as multiples of an ulp, 2
//   hf           x*r may be off first, which the product with w carries on: at most 2 more
//   eager        each of the two products is rounded, which adds at most 1 each; the same in
//                hf_eager and late_weight_eager beside what the norm adds
//   a bias       that is rounded by itself, in hf, adds one rounding of a and b: at most 2
//   a norm after the rotation takes elements that may be off by one ulp, in eager by two roundings
//                more, each at most 2 ulps once it is scaled, and 1 by way of the root
// A LayerNorm subtracts a mean that 16 operations in a row led to, and a bias may cancel what it is
// added to: both are in the magnitude (oracle.cpp), so that the same bounds hold.
#include "tools/oracle/criterion.hpp"

#include <algorithm>
#include <cmath>

#include "tools/oracle/number.hpp"

namespace qkjit::oracle {
namespace {

constexpr double kRounding = 0x1p-20;

/// With fp32 no fair share of results is equal to the last bit, because fp32 is what it was worked
/// out in. There, "exact" means the error that fp32 has nearly always.
constexpr double kUsualRounding = 0x1p-22;

/// Infinity as the number that follows the largest, so that one rounding away is one step away.
double on_line(DType dtype, double x) {
  if (!std::isinf(x)) return x;
  return std::copysign(dtype == DType::fp16 ? 0x1p16 : 0x1p128, x);
}

bool is_neighbour(DType dtype, double a, double b) {
  return std::fabs(a - b) <= ulp(dtype, std::min(std::fabs(a), std::fabs(b)));
}

/// By how many ulps of its pair a value may be off that is rounded on the way.
double allowed_ulps(const Spec& spec) {
  const bool eager = rounds_products(spec), hf = normalises_as_hf(spec);
  double ulps = 2;
  if (eager) ulps += 2;
  if (hf) ulps += 2;
  if (hf && spec.bias == Bias::yes) ulps += 2;
  if (spec.norm_order == NormOrder::after) ulps += eager ? 9 : 3;
  return ulps;
}

Verdict judge_fp32(const Element& element, double actual) {
  const double error = std::fabs(actual - element.exact);
  const double spacing = ulp(DType::fp32, element.exact);  // counts among subnormals
  if (error <= std::max(kUsualRounding * element.magnitude, spacing / 2)) return Verdict::exact;
  return error <= std::max(kRounding * element.magnitude, spacing) ? Verdict::within
                                                                   : Verdict::wrong;
}

}  // namespace

double error_in_ulps(DType dtype, const Element& element, double actual) {
  if (actual == element.rounded || (std::isnan(actual) && std::isnan(element.rounded))) return 0;
  if (!std::isfinite(element.exact) || !std::isfinite(element.magnitude) || std::isnan(actual)) {
    return INFINITY;
  }
  return std::fabs(on_line(dtype, actual) - element.exact) / ulp(dtype, element.magnitude);
}

double tolerance(const Spec& spec, const Element& element) {
  if (spec.rounding == Rounding::fused || spec.dtype == DType::fp32) {
    return kRounding * element.magnitude;
  }
  return allowed_ulps(spec) * ulp(spec.dtype, element.magnitude);
}

Verdict judge(const Spec& spec, const Element& element, double actual) {
  const DType dtype = spec.dtype;
  if (actual == element.rounded) return Verdict::exact;
  if (std::isnan(actual) && std::isnan(element.rounded)) return Verdict::exact;
  if (!std::isfinite(element.exact) || std::isnan(actual)) return Verdict::wrong;
  if (dtype == DType::fp32) return judge_fp32(element, actual);

  const double a = on_line(dtype, actual), b = on_line(dtype, element.rounded);
  const bool within = spec.rounding == Rounding::fused
                          ? is_neighbour(dtype, a, b) ||
                                std::fabs(a - element.exact) <= kRounding * element.magnitude
                          : std::fabs(a - b) <= allowed_ulps(spec) * ulp(dtype, element.magnitude);
  return within ? Verdict::within : Verdict::wrong;
}

std::uint64_t most_within(std::uint64_t elements) { return elements / 1000 + 8; }

}  // namespace qkjit::oracle
