// Rotation of a row that lies in chunks in the registers of a lane group. Shapes are arguments, so
// that the generic kernel calls the same functions; in the fused kernel they are constants.
// Elements are numbered from the first rotated one, so chunks before it begin with a negative
// number.
#pragma once

#include "angles.cuh"
#include "arithmetic.cuh"

namespace qkjit {

/// Pairs (2i, 2i+1): both elements are neighbours in the chunk that begins with element `first`.
/// Elements before number 0 and from `end` on are left as they are.
template <DType kDType>
QKJIT_DEVICE void rotate_interleaved(Rounding rounding, int end, int first, const ChunkAngles& a,
                                     float (&y)[kChunk]) {
#pragma unroll
  for (int i = 0; i < kChunk / 2; ++i) {
    if (first < 0 || first + 2 * i >= end) continue;
    rotate_pair<kDType>(rounding, y[2 * i], y[2 * i + 1], a.c[i], a.s[i]);
  }
}

/// Pairs (i, i + rope_dim/2) whose chunks, `y` and its partner, lie in the same lane.
template <DType kDType>
QKJIT_DEVICE void rotate_neox(Rounding rounding, const ChunkAngles& a, float (&y)[kChunk],
                              float (&partner)[kChunk]) {
#pragma unroll
  for (int i = 0; i < kChunk; ++i) {
    rotate_pair<kDType>(rounding, y[i], partner[i], a.c[i], a.s[i]);
  }
}

/// Where the partners of a lane's chunk are if every chunk of a row has a lane of its own and
/// halves are whole quads: those of its first quad and those of its last may lie in two lanes.
struct PartnerLanes {
  int first_quad, last_quad;

  /// `lane` has chunk number `chunk`.
  static QKJIT_DEVICE PartnerLanes of(int half, int chunk, int lane) {
    const int whole = half / kChunk;
    if (half % kChunk == 0) {
      const int partner = chunk < whole ? lane + whole : lane - whole;
      return {partner, partner};
    }
    return {chunk <= whole ? lane + whole : lane - whole - 1,
            chunk < whole ? lane + whole + 1 : lane - whole};
  }
};

/// The partners of a lane's elements, with kShift the half modulo a chunk, 0 or 4. Every lane of
/// the warp takes part.
template <int kShift>
QKJIT_DEVICE void ask_partners(const PartnerLanes& lanes, const float (&y)[kChunk],
                               float (&partner)[kChunk]) {
#pragma unroll
  for (int i = 0; i < kChunk; ++i) {
    const int from = i < kChunk / 2 ? lanes.first_quad : lanes.last_quad;
    partner[i] = __shfl_sync(0xffffffffu, y[(i + kShift) % kChunk], from);
  }
}

/// The chunk that begins with element `first`, whose partners are known. Elements before number 0
/// and from `end` on are left as they are.
template <DType kDType>
QKJIT_DEVICE void rotate_elements(Rounding rounding, int end, int first, const ChunkAngles& a,
                                  const float (&partner)[kChunk], float (&y)[kChunk]) {
#pragma unroll
  for (int i = 0; i < kChunk; ++i) {
    if (first < 0 || first + i >= end) continue;
    y[i] = rotate_element<kDType>(rounding, y[i], partner[i], a.c[i], a.s[i]);
  }
}

/// Pairs (i, i + rope_dim/2) by shuffles; see ask_partners().
template <DType kDType, int kShift>
QKJIT_DEVICE void rotate_by_shuffle(Rounding rounding, int end, int first, const ChunkAngles& a,
                                    const PartnerLanes& lanes, float (&y)[kChunk]) {
  float partner[kChunk];
  ask_partners<kShift>(lanes, y, partner);
  rotate_elements<kDType>(rounding, end, first, a, partner, y);
}

/// Shows the chunk to the lanes of its row. `shown` has room for the row's chunks, on 16 bytes.
QKJIT_DEVICE void show_chunk(const float (&y)[kChunk], int first, float* shown) {
#pragma unroll
  for (int i = 0; i < kChunk; i += 4) {
    *reinterpret_cast<float4*>(shown + first + i) = float4{y[i], y[i + 1], y[i + 2], y[i + 3]};
  }
}

/// The partners of the chunk that begins with `first`, as far as it is rotated.
QKJIT_DEVICE void read_partners(int rope_dim, int first, const float* shown,
                                float (&partner)[kChunk]) {
  const int half = rope_dim / 2;
  if (first < 0) return;
#pragma unroll
  for (int i = 0; i < kChunk; i += 4) {
    const int element = first + i;
    if (half % 4 == 0) {
      if (element >= rope_dim) continue;
      load_floats<4>(shown + (element < half ? element + half : element - half), partner + i);
    } else {
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        if (element + j >= rope_dim) continue;
        partner[i + j] = shown[element + j < half ? element + j + half : element + j - half];
      }
    }
  }
}

template <DType kDType>
QKJIT_DEVICE void rotate_exchanged(Rounding rounding, int rope_dim, int first, const ChunkAngles& a,
                                   const float* shown, float (&y)[kChunk]) {
  float partner[kChunk] = {};
  read_partners(rope_dim, first, shown, partner);
  rotate_elements<kDType>(rounding, rope_dim, first, a, partner, y);
}

}  // namespace qkjit
