// The specs whose fused kernels the shim runs: a list short enough to compile, in which all pairs
// of values that matter meet (fused_coverage_test.cpp holds it to that).
#pragma once

#include <array>
#include <utility>

#include "tests/simt/paths.hpp"

namespace qkjit::simt {

struct Shape {
  int head_dim, rope_dim;
};

inline constexpr std::array kShapes = std::to_array<Shape>({
    {8, 8},     {8, 6},     {16, 16},   {16, 2},   {24, 24},   {40, 40},   {40, 20},   {64, 64},
    {64, 32},   {64, 48},   {72, 72},   {80, 80},  {80, 40},   {96, 96},   {96, 72},   {112, 112},
    {112, 96},  {128, 128}, {128, 0},   {128, 64}, {128, 96},  {128, 126}, {160, 160}, {192, 64},
    {256, 256}, {256, 6},   {320, 160}, {320, 0},  {512, 512}, {512, 100},
});

/// Every shape in both layouts.
inline constexpr std::size_t kSpecsPerDtype = 2 * kShapes.size();
inline constexpr std::size_t kSmallSpecs = 2 * 13;  ///< those with head_dim up to 80
static_assert(kShapes[12].head_dim == 80 && kShapes[13].head_dim > 80);

/// Spec `number` of a dtype. Over the six specs of a shape, all roundings and positions take turns.
constexpr Spec fused_spec(DType dtype, std::size_t number) {
  const std::size_t shape = number / 2, layout = number % 2;
  const auto turn = static_cast<std::size_t>(dtype);
  return {.head_dim = kShapes[shape].head_dim,
          .rope_dim = kShapes[shape].rope_dim,
          .layout = static_cast<Layout>(layout),
          .dtype = dtype,
          .rounding = static_cast<Rounding>((4 * shape + shape / 5 + 3 * layout + turn) % 5),
          .positions = static_cast<Positions>((shape + turn) % 3)};
}

/// Checks the specs [kBegin, kEnd) of a dtype.
template <DType kDType, std::size_t kBegin, std::size_t kEnd>
void check_specs() {
  [&]<std::size_t... kNumber>(std::index_sequence<kNumber...>) {
    (check_fused(fused_kernel<fused_spec(kDType, kBegin + kNumber)>(), kBegin + kNumber), ...);
  }
  (std::make_index_sequence<kEnd - kBegin>());
}

}  // namespace qkjit::simt
