// Specs in which every two values of a norm's fields, and of the fields beside them, meet at least
// once; tests/unit/norm_specs_test.cpp holds the list to that. Short enough to compile each as a
// fused kernel.
#pragma once

#include <array>

#include "kernels/spec.cuh"

namespace qkjit::test {

/// The enumerators of a Spec as numbers, in its order.
struct SpecRow {
  int head_dim, rope_dim;
  int layout, dtype, rounding, positions, q_norm, k_norm, weight, bias, weight_dtype, norm_order;
  int norm_scope = 0;

  constexpr Spec spec() const {
    Spec spec{head_dim,
              rope_dim,
              static_cast<Layout>(layout),
              static_cast<DType>(dtype),
              static_cast<Rounding>(rounding),
              static_cast<Positions>(positions),
              static_cast<Norm>(q_norm),
              static_cast<Norm>(k_norm),
              static_cast<Weight>(weight),
              static_cast<Bias>(bias),
              static_cast<WeightDType>(weight_dtype),
              static_cast<NormOrder>(norm_order)};
    spec.norm_scope = static_cast<NormScope>(norm_scope);
    return spec;
  }
};

// clang-format off
inline constexpr std::array kNormSpecs = std::to_array<SpecRow>({
    { 64,  64, 0, 0, 4, 0, 0, 2, 2, 1, 3, 0},
    { 64,  64, 0, 1, 0, 2, 1, 2, 1, 0, 3, 1},
    { 64,  64, 0, 2, 2, 2, 1, 0, 0, 0, 2, 1},
    { 64,  64, 1, 1, 3, 1, 2, 1, 1, 1, 0, 1},
    { 64,  64, 1, 2, 1, 0, 2, 2, 1, 0, 1, 0},
    { 72,  72, 0, 0, 2, 0, 0, 2, 2, 1, 2, 1},
    { 72,  72, 0, 0, 3, 1, 1, 2, 0, 1, 0, 0},
    { 72,  72, 0, 2, 3, 2, 0, 0, 2, 0, 0, 1},
    { 72,  72, 1, 0, 1, 0, 2, 0, 0, 0, 3, 1},
    { 72,  72, 1, 1, 0, 2, 1, 2, 2, 1, 1, 1},
    { 72,  72, 1, 1, 4, 1, 0, 1, 1, 0, 1, 0},
    { 80,  40, 0, 0, 0, 1, 0, 0, 0, 0, 2, 0},
    { 80,  40, 0, 0, 2, 2, 1, 1, 0, 0, 0, 0},
    { 80,  40, 0, 1, 3, 0, 1, 0, 0, 0, 3, 1},
    { 80,  40, 1, 2, 1, 0, 1, 2, 1, 1, 2, 0},
    { 80,  40, 1, 2, 3, 1, 2, 2, 0, 1, 1, 0},
    { 80,  40, 1, 2, 4, 2, 2, 1, 2, 1, 2, 1},
    {128,   0, 0, 0, 0, 2, 2, 2, 2, 1, 2, 0},
    {128,   0, 0, 0, 2, 2, 2, 1, 1, 1, 3, 0},
    {128,   0, 0, 0, 3, 2, 2, 0, 0, 1, 0, 0},
    {128,   0, 0, 1, 4, 2, 1, 0, 0, 0, 1, 0},
    {128,   0, 0, 2, 1, 2, 0, 1, 2, 0, 0, 0},
    {128,  96, 0, 0, 3, 2, 2, 0, 2, 1, 2, 1},
    {128,  96, 0, 0, 4, 2, 2, 0, 2, 1, 0, 0},
    {128,  96, 0, 2, 2, 1, 2, 2, 2, 1, 1, 1},
    {128,  96, 1, 1, 1, 1, 1, 2, 2, 1, 3, 0},
    {128,  96, 1, 1, 2, 0, 0, 0, 1, 0, 1, 0},
    {128,  96, 1, 2, 0, 0, 2, 1, 0, 1, 0, 0},
    { 64,  64, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1},
    { 72,  72, 1, 0, 1, 1, 1, 0, 1, 0, 3, 1, 1},
    { 80,  40, 1, 2, 2, 2, 0, 1, 0, 0, 1, 0, 1},
    {128,   0, 0, 0, 3, 2, 0, 0, 1, 0, 2, 0, 1},
    {128,  96, 1, 1, 4, 0, 0, 0, 2, 0, 0, 1, 1},
});
// clang-format on

}  // namespace qkjit::test
