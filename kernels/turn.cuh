// Cosine and sine of an angle that is known as a fraction of a turn, the same bits everywhere. No
// fast sine: reduction is exact, since a turn is 2^64, and the polynomials are single IEEE
// operations.
#pragma once

#include "platform.cuh"

namespace qkjit {

struct CosSin {
  float c, s;
};

/// cos and sin of t quarter turns, |t| <= 1/2. The coefficients were fitted for the least relative
/// error, 2^-30 of the cosine and 2^-27 of the sine, which begins with t * pi/2 in two parts.
QKJIT_DEVICE CosSin cos_sin_of_quarters(float t) {
  const float u = mul_rn(t, t);
  float c = fma_rn(u, 0x1.d9ccbcp-11f, -0x1.55c2f8p-6f);
  c = fma_rn(u, c, 0x1.03c1cap-2f);
  c = fma_rn(u, c, -0x1.3bd3ccp+0f);
  float s = fma_rn(u, -0x1.2e680ap-8f, 0x1.4663e8p-4f);
  s = fma_rn(u, s, -0x1.4abbcap-1f);
  s = fma_rn(u, s, -0x1.777a5cp-25f);
  return {fma_rn(u, c, 1.0f), fma_rn(t, 0x1.921fb6p+0f, mul_rn(t, s))};
}

/// cos and sin of `phase` * 2^-64 turns, each within 1.5 ulp (tests/unit/turn_test.cpp).
QKJIT_DEVICE CosSin cos_sin_of_turn(unsigned long long phase) {
  // The nearest quarter turn in the two highest bits, and how far the phase is from it.
  const unsigned quarter = static_cast<unsigned>(phase >> 32) + (1u << 29);
  const auto rest = static_cast<float>(static_cast<long long>(phase << 2));
  const CosSin near = cos_sin_of_quarters(mul_rn(rest, 0x1p-64f));
  const bool is_odd = (quarter & (1u << 30)) != 0;
  const unsigned c = bits_of(is_odd ? near.s : near.c), s = bits_of(is_odd ? near.c : near.s);
  constexpr unsigned kSign = 1u << 31;  // of cosines in quarters 1 and 2, of sines in 2 and 3
  return {float_of(c ^ ((quarter + (1u << 30)) & kSign)), float_of(s ^ (quarter & kSign))};
}

}  // namespace qkjit
