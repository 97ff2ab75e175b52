#include "tools/oracle/computed.hpp"

#include <algorithm>
#include <cmath>

namespace qkjit::oracle {

long double frequency(const qkjit_frequencies& f, int rope_dim, int angle) {
  const long double exponent = -2.0L * angle / rope_dim;
  const long double unscaled = std::pow(static_cast<long double>(f.base), exponent);
  const long double g = unscaled / f.linear_factor, low = f.yarn_low;
  const bool is_point = std::fabs(f.yarn_high - f.yarn_low) <= 1e-6;
  const long double high = is_point ? f.yarn_high + 0.001 : f.yarn_high;
  const long double r = std::clamp((angle - low) / (high - low), 0.0L, 1.0L);
  return g * (1 - r) + g / f.yarn_factor * r;
}

Turned turned(const qkjit_frequencies& f, long double frequency, std::int64_t position) {
  const long double angle = frequency * static_cast<long double>(position);
  return {static_cast<double>(std::cos(angle) * f.attention_factor),
          static_cast<double>(std::sin(angle) * f.attention_factor)};
}

}  // namespace qkjit::oracle
