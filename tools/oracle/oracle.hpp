// The judge of correctness: one row of the operation in double, from the formula of the operation
// and the schedules of its rounding modes. Knows nothing of how kernels index or sum.
#pragma once

#include <span>

#include "kernels/spec.cuh"

namespace qkjit::oracle {

/// One head of one token. Every value is exactly the stored one.
struct RowInput {
  std::span<const double> x, weight;  ///< head_dim each; weight unread without a norm
  std::span<const double> cosines,
      sines;  ///< rope_dim each: of the first halves of pairs, then of the second
};

struct Element {
  double exact = 0;      ///< before the last rounding
  double rounded = 0;    ///< the result: `exact` to the dtype, in one rounding
  double magnitude = 0;  ///< length of the rotated pair; |exact| of an element without a partner
  /// Whether fp32 has the range for the way to this result. Where it has not, the operation's own
  /// overflow or underflow decides, and a result in double says nothing about it.
  bool judged = false;
};

/// With y = x / sqrt(mean(x^2) + eps) * weight, or y = x without a norm, the first or last
/// rope_dim elements rotated in pairs: (a, b) -> (a cos - b sin, b cos + a sin). Modes other than
/// fused round to the dtype on the way; with fp32 that is the rounding of every operation, which is
/// what the oracle is free of, so fp32 has the same exact result in every mode. `out` has head_dim
/// elements.
void compute_row(const Spec& spec, double eps, const RowInput& row, std::span<Element> out);

}  // namespace qkjit::oracle
