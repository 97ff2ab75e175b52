// Numbers of about 106 bits, as the sum of two doubles: for what must come out the same to the last
// bit on every machine, which no function of a C library promises. Only IEEE operations, to
// nearest; the build forbids contraction.
#pragma once

#include <cmath>

namespace qkjit {

/// high + low, with |low| at most half an ulp of high. Results err by some 2^-104 of themselves,
/// sums of unlike signs by that much of the larger one.
struct DoubleDouble {
  double high = 0, low = 0;
};

/// `a` + `b` exactly.
inline DoubleDouble exact_sum(double a, double b) {
  const double sum = a + b, part = sum - a;
  return {sum, (a - (sum - part)) + (b - part)};
}

/// `a` * `b` exactly.
inline DoubleDouble exact_product(double a, double b) {
  const double product = a * b;
  return {product, std::fma(a, b, -product)};
}

inline DoubleDouble operator+(DoubleDouble a, DoubleDouble b) {
  const DoubleDouble high = exact_sum(a.high, b.high), low = exact_sum(a.low, b.low);
  const DoubleDouble sum = exact_sum(high.high, high.low + low.high);
  return exact_sum(sum.high, sum.low + low.low);
}
inline DoubleDouble operator-(DoubleDouble a) { return {-a.high, -a.low}; }
inline DoubleDouble operator-(DoubleDouble a, DoubleDouble b) { return a + -b; }

inline DoubleDouble operator*(DoubleDouble a, DoubleDouble b) {
  const DoubleDouble product = exact_product(a.high, b.high);
  return exact_sum(product.high, product.low + (a.high * b.low + a.low * b.high));
}

inline DoubleDouble operator/(DoubleDouble a, DoubleDouble b) {
  const double first = a.high / b.high;
  const DoubleDouble rest = a - b * DoubleDouble{first};
  const double second = rest.high / b.high;
  const DoubleDouble last = rest - b * DoubleDouble{second};
  return exact_sum(first, second) + DoubleDouble{last.high / b.high};
}

/// a^n, n >= 0.
inline DoubleDouble power(DoubleDouble a, int n) {
  DoubleDouble result{1};
  for (; n > 0; n /= 2, a = a * a) {
    if (n % 2 == 1) result = result * a;
  }
  return result;
}

}  // namespace qkjit
