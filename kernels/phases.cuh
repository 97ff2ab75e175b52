// Angles computed from a token's position, where others have a table: phase = position * frequency,
// exactly, since both count 2^-64 of a turn and whole turns drop out.
#pragma once

#include "frequencies.cuh"
#include "table.cuh"
#include "turn.cuh"

namespace qkjit {

/// Two frequencies, from 16 bytes. A kernel's parameter is read like other memory here: indexed by
/// lane as a constant, each lane would wait for all others.
QKJIT_DEVICE void load_frequencies(const unsigned long long* from, unsigned long long (&to)[2]) {
#if defined(__CUDACC__)
  asm("ld.v2.u64 {%0, %1}, [%2];" : "=l"(to[0]), "=l"(to[1]) : "l"(from));
#else
  to[0] = from[0], to[1] = from[1];
#endif
}
QKJIT_DEVICE unsigned long long load_frequency(const unsigned long long* from) {
#if defined(__CUDACC__)
  unsigned long long frequency;
  asm("ld.u64 %0, [%1];" : "=l"(frequency) : "l"(from));
  return frequency;
#else
  return *from;
#endif
}

/// Stands for the rows of a table (TableRows), which have the same members.
template <class Form>
struct TokenPhases {
  Form form;
  bool wide;  ///< always: frequencies lie on 16 bytes
  const unsigned long long* turns;
  float attention_factor;
  unsigned long long positions[3];  ///< one for each axis

  QKJIT_DEVICE CosSin turned(int angle, unsigned long long frequency) const {
    const int axis = form.axis_of(angle);
    const unsigned long long position = axis == 0   ? positions[0]
                                        : axis == 1 ? positions[1]
                                                    : positions[2];
    const CosSin found = cos_sin_of_turn(position * frequency);
    return {mul_rn(found.c, attention_factor), mul_rn(found.s, attention_factor)};
  }
  QKJIT_DEVICE CosSin both(int angle) const { return turned(angle, load_frequency(turns + angle)); }
  QKJIT_DEVICE float cosine(int angle) const { return both(angle).c; }
  QKJIT_DEVICE float sine(int angle) const { return both(angle).s; }
};

/// The kCount angles from number `angle` on; both are even.
template <int kCount, class Form>
QKJIT_DEVICE void load_angles(const TokenPhases<Form>& token, int angle, float* c, float* s) {
#pragma unroll
  for (int i = 0; i < kCount; i += 2) {
    unsigned long long frequencies[2];
    load_frequencies(token.turns + angle + i, frequencies);
#pragma unroll
    for (int j = 0; j < 2; ++j) {
      const CosSin found = token.turned(angle + i + j, frequencies[j]);
      c[i + j] = found.c, s[i + j] = found.s;
    }
  }
}

template <int kCount, class Form>
QKJIT_DEVICE TokenPhases<Form> find_phases(const Params& p, const Frequencies<kCount>& frequencies,
                                           Positions positions, const Form& form, unsigned token) {
  TokenPhases<Form> found{form, true, frequencies.turns, frequencies.attention_factor, {}};
#pragma unroll
  for (int axis = 0; axis < 3; ++axis) {
    if (axis >= form.axes()) continue;
    found.positions[axis] = static_cast<unsigned long long>(p.position_offset) +
                            static_cast<unsigned long long>(position_of(p, positions, axis, token));
  }
  return found;
}

}  // namespace qkjit
