// The computed angles of a token, dealt out over a warp. All groups of its lanes turn their rows by
// the same ones, so each lane computes a few and asks other lanes for those that it needs: a
// shuffle costs a tenth of an angle.
#pragma once

#include "angles.cuh"
#include "butterfly.cuh"
#include "phases.cuh"

namespace qkjit {

/// How many angles a lane computes, a power of two: lane l has those from number l * share on.
QKJIT_CONSTEXPR int share_of_angles(const Spec& spec) {
  return next_power_of_two(ceil_div(spec.rope_dim / 2, 32));
}

/// Whether the angle that has place i in a chunk always has place i modulo the share in the lane
/// that computes it: which register a lane shows must not depend on who asks.
QKJIT_CONSTEXPR bool shares_angles(const Spec& spec) {
  const int share = share_of_angles(spec);
  return spec.angles == Angles::computed && share <= kChunk / 2 && spec.rope_dim / 2 % share == 0;
}

template <int kShare, class Form>
struct SharedAngles {
  Form form;
  float c[kShare], s[kShare];

  static QKJIT_DEVICE SharedAngles of(const TokenPhases<Form>& token, unsigned lane) {
    SharedAngles own{token.form, {}, {}};
    const int last = token.form.rope_dim / 2 - kShare, wanted = static_cast<int>(lane) * kShare;
    const int angle = wanted < last ? wanted : last;
    if constexpr (kShare == 1) {
      const CosSin found = token.both(angle);
      own.c[0] = found.c, own.s[0] = found.s;
    } else {
      load_angles<kShare>(token, angle, own.c, own.s);
    }
    return own;
  }

  // What follows are the functions of angles.cuh. Every lane of the warp takes part; what those get
  // that have nothing to rotate means nothing.

  QKJIT_DEVICE void ask(int angle, int place, ChunkAngles& a) const {
    const int lane = angle / kShare % 32;
    a.c[place] = __shfl_sync(kWholeWarp, c[place % kShare], lane);
    a.s[place] = __shfl_sync(kWholeWarp, s[place % kShare], lane);
  }
  QKJIT_DEVICE void load_interleaved(int first, ChunkAngles& a) const {
#pragma unroll
    for (int i = 0; i < kChunk / 2; ++i) ask(first / 2 + i, i, a);
  }
  QKJIT_DEVICE void load_neox(int first, ChunkAngles& a) const {
#pragma unroll
    for (int i = 0; i < kChunk; ++i) ask(first + i, i, a);
  }
  QKJIT_DEVICE void load_exchanged(int first, ChunkAngles& a) const {
#pragma unroll
    for (int i = 0; i < kChunk; ++i) {
      ask(form.angle_of(first + i), i, a);
      a.s[i] = first + i < form.rope_dim / 2 ? -a.s[i] : a.s[i];
    }
  }
};

}  // namespace qkjit
