// Division of small numbers by one that the host knows.
#pragma once

#include "spec.cuh"

namespace qkjit {

/// n / d for n below 2^31 as a multiplication by ceil(2^(31 + s) / d), 2^s the power of two at or
/// above d (Granlund and Montgomery, "Division by Invariant Integers using Multiplication", 1994).
struct Divisor {
  unsigned factor = 0;
  unsigned shift = 0;

  static QKJIT_CONSTEXPR Divisor of(unsigned d) {
    unsigned s = 0;
    while (1ull << s < d) ++s;
    return {static_cast<unsigned>(((1ull << (31 + s)) + d - 1) / d), 31 + s};
  }
};

QKJIT_CONSTEXPR unsigned operator/(unsigned n, Divisor d) {
  return static_cast<unsigned>((static_cast<unsigned long long>(n) * d.factor) >> d.shift);
}

}  // namespace qkjit
