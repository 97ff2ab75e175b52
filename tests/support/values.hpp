// Element values of generated problems: ordinary ones, and all that floating point has to offer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>

#include "kernels/spec.cuh"

namespace qkjit::test {

using Random = std::mt19937_64;

/// What the elements of q, k, the weights and the rope table are.
enum class Data {
  normal,   ///< normally distributed; rows differ in scale
  special,  ///< also rows of zeros, subnormals, huge values, NaN and infinity
};

/// Writes `count` elements of `dtype`: one row of q or k.
void fill_row(Data data, DType dtype, Random& random, std::byte* to, int count);

/// Weights: around 1. With Data::special, an element here and there is not an ordinary number.
void fill_weights(Data data, DType dtype, Random& random, std::byte* to, int count);

/// The cosine and the sine of a random angle, as bits of a dtype. Special as weights are.
struct AngleBits {
  unsigned cosine, sine;
};
AngleBits random_angle(Data data, DType dtype, Random& random);

/// Writes element `index` of an array.
void put(DType dtype, std::byte* to, std::int64_t index, unsigned bits);

}  // namespace qkjit::test
