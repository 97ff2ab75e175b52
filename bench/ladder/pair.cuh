// Two neighbouring elements in one 32-bit word: the pair that is rotated together. A wide access is
// a few of them.
#pragma once

#include "row.cuh"

__device__ inline float first_of(unsigned pair) { return __uint_as_float(pair << 16); }
__device__ inline float second_of(unsigned pair) { return __uint_as_float(pair & 0xffff0000); }

__device__ inline float squares(unsigned pair) {
  return first_of(pair) * first_of(pair) + second_of(pair) * second_of(pair);
}

/// Normalised by r, the reciprocal rms of the row, and its weights, then rotated.
__device__ inline unsigned finish(unsigned pair, float r, unsigned weight, float c, float s) {
  const float a = first_of(pair) * r * first_of(weight);
  const float b = second_of(pair) * r * second_of(weight);
  return to_bf16(a * c - b * s) | static_cast<unsigned>(to_bf16(b * c + a * s)) << 16;
}
