// The judge of correctness: what shares a variance, in double, from the formula of the operation
// and the schedules of its rounding modes. Knows nothing of how kernels index or sum.
#pragma once

#include <span>

#include "kernels/spec.cuh"

namespace qkjit::oracle {

/// One head of one token, or under a norm across heads all of q or of k, one after another. Every
/// value is exactly the stored one.
struct RowInput {
  Norm norm;                             ///< the spec's for q or for k
  std::span<const double> x;             ///< head_dim, or heads * head_dim
  std::span<const double> weight, bias;  ///< as many each, or more; unread where there is none
  /// rope_dim each: of the first halves of pairs, then of the second. Of a spec with tables of
  /// heads' own, as many for each head of x, one after another.
  std::span<const double> cosines, sines;
};

struct Element {
  double exact = 0;    ///< before the last rounding
  double rounded = 0;  ///< the result: `exact` to the dtype, in one rounding
  /// The scale at which fp32 errs: |exact|, or where terms may cancel, what they are before: the
  /// length of a rotated pair, an element and its mean, a product and its bias.
  double magnitude = 0;
  /// Whether fp32 has the range for the way to this result. Where it has not, the operation's own
  /// overflow or underflow decides, and a result in double says nothing about it.
  bool judged = false;
};

/// What a mode does: an hf norm, which rounds before the weight; a rotation that rounds its
/// products.
inline bool normalises_as_hf(const Spec& spec) {
  return spec.rounding == Rounding::hf || spec.rounding == Rounding::hf_eager;
}
inline bool rounds_products(const Spec& spec) {
  return spec.rounding == Rounding::eager || spec.rounding == Rounding::hf_eager ||
         spec.rounding == Rounding::late_weight_eager;
}

/// The norm, y = d / sqrt(mean(d^2) + eps) * w + bias, and the rotation of every head's first or
/// last rope_dim elements in pairs, (a, b) -> (a cos - b sin, b cos + a sin), in the spec's order.
/// d is x, or of a LayerNorm x - mean(x); w is weight, 1 + weight, or 1; without a norm y = x.
/// Modes other than fused round to the dtype on the way; with fp32 that is the rounding of every
/// operation, which is what the oracle is free of, so fp32 has the same exact result in every mode.
/// `out` has as many elements as x.
void compute_row(const Spec& spec, double eps, const RowInput& row, std::span<Element> out);

}  // namespace qkjit::oracle
