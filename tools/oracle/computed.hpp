// Angles computed from positions, as the formula says: in long double, by the C library.
#pragma once

#include <cstdint>

#include "qkjit/qkjit.h"

namespace qkjit::oracle {

/// Radians by which an angle turns from a position to the next.
long double frequency(const qkjit_frequencies& f, int rope_dim, int angle);

struct Turned {
  double cosine, sine;
};
Turned turned(const qkjit_frequencies& f, long double frequency, std::int64_t position);

}  // namespace qkjit::oracle
