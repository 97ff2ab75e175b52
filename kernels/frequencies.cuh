// What a kernel that computes its angles is given in place of a table: a parameter of its own, so
// that kernels with a table take what they always took.
#pragma once

#include "spec.cuh"

namespace qkjit {

/// The frequencies of up to kCount angles. A shorter one is the beginning of a longer one: the host
/// fills the longest, and a kernel takes as much of it as its rope_dim needs.
template <int kCount>
struct Frequencies {
  float attention_factor;  ///< what every cosine and sine is multiplied by
  /// By how much an angle turns from a position to the next, in 2^-64 of a turn, so below a turn.
  alignas(16) unsigned long long turns[kCount];
};

inline constexpr int kMaxAngles = 512;
using AllFrequencies = Frequencies<kMaxAngles>;

/// What the fused kernel of a spec takes.
template <Spec kSpec>
using FrequenciesOf = Frequencies<(kSpec.rope_dim > 0 ? kSpec.rope_dim / 2 : 1)>;

static_assert(sizeof(AllFrequencies) == 16 + 8 * kMaxAngles,
              "host and device must agree: change both sides and this size");

}  // namespace qkjit
