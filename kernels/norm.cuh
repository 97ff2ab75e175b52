// The norm of a row that lies in chunks in the registers of a lane group: its steps, which the
// fused and the generic kernel put together. Kinds and shapes are arguments; in the fused kernel
// they are constants.
#pragma once

#include "arithmetic.cuh"

namespace qkjit {

/// effective_weight() for a chunk.
QKJIT_DEVICE void make_effective(Weight weight, float (&w)[kChunk]) {
#pragma unroll
  for (int i = 0; i < kChunk; ++i) w[i] = effective_weight(weight, w[i]);
}

/// The two sums that norms need, chunk by chunk: of a row's elements, and of their squares.
template <int kSlots>
QKJIT_DEVICE void sum_chunks(const float (&x)[kSlots][kChunk], float (&sums)[kSlots]) {
#pragma unroll
  for (int slot = 0; slot < kSlots; ++slot) sums[slot] = sum_of_elements(x[slot]);
}
template <int kSlots>
QKJIT_DEVICE void square_chunks(const float (&x)[kSlots][kChunk], float (&sums)[kSlots]) {
#pragma unroll
  for (int slot = 0; slot < kSlots; ++slot) sums[slot] = sum_of_squares(x[slot]);
}

/// Subtracts the mean of a row, given its sum. `elements(slot)` is how many elements of a slot's
/// chunk are the row's; the others stay zero.
template <int kSlots, class Elements>
QKJIT_DEVICE void centre_row(float sum, float inv, const Elements& elements,
                             float (&x)[kSlots][kChunk]) {
#pragma unroll
  for (int slot = 0; slot < kSlots; ++slot) {
#pragma unroll
    for (int i = 0; i < kChunk; ++i) {
      x[slot][i] = i < elements(slot) ? centred(x[slot][i], sum, inv) : 0;
    }
  }
}

/// normalize() for a chunk, without a bias and with one.
template <DType kDType>
QKJIT_DEVICE void normalize_chunk(Rounding rounding, float (&x)[kChunk], float r,
                                  const float (&w)[kChunk]) {
#pragma unroll
  for (int i = 0; i < kChunk; ++i) x[i] = normalize<kDType>(rounding, x[i], r, w[i]);
}
template <DType kDType>
QKJIT_DEVICE void normalize_chunk(Rounding rounding, float (&x)[kChunk], float r,
                                  const float (&w)[kChunk], const float (&b)[kChunk]) {
#pragma unroll
  for (int i = 0; i < kChunk; ++i) x[i] = normalize<kDType>(rounding, x[i], r, w[i], b[i]);
}

/// A rotated row, as a norm after the rotation takes it. The rotation may have touched what lies
/// past the row's end.
template <DType kDType, int kSlots, class Elements>
QKJIT_DEVICE void hand_over_row(Rounding rounding, const Elements& elements,
                                float (&x)[kSlots][kChunk]) {
#pragma unroll
  for (int slot = 0; slot < kSlots; ++slot) {
#pragma unroll
    for (int i = 0; i < kChunk; ++i) {
      x[slot][i] = i < elements(slot) ? handed_over<kDType>(rounding, x[slot][i]) : 0;
    }
  }
}

}  // namespace qkjit
