// The generic kernel: any head_dim up to 1024, any alignment, all shapes at run time. It is
// compiled to PTX when the library is built, so it serves with no compiler and no cache. One warp
// owns one row and stages it in shared memory; every element is read before the first is written.
#pragma once

#include "arithmetic.cuh"
#include "generic_params.cuh"
#include "rows.cuh"

namespace qkjit {

/// The butterfly of arithmetic.cuh, always padded to the most chunks: 32 lanes of 4 chunks.
QKJIT_DEVICE float sum_staged_row(const float* row, int head_dim, int lane) {
  constexpr int kSlots = kGenericMaxHeadDim / kChunk / 32;
  float sums[kSlots];
#pragma unroll
  for (int slot = 0; slot < kSlots; ++slot) {
    float x[kChunk];
#pragma unroll
    for (int i = 0; i < kChunk; ++i) {
      const int element = (lane + slot * 32) * kChunk + i;
      x[i] = element < head_dim ? row[element] : 0;
    }
    sums[slot] = sum_of_squares(x);
  }
  float sum = add_rn(add_rn(sums[0], sums[2]), add_rn(sums[1], sums[3]));
  for (int d = 16; d > 0; d /= 2) sum = add_rn(sum, __shfl_xor_sync(0xffffffffu, sum, d));
  return sum;
}

/// Element i of the rotated row y.
template <DType kDType>
QKJIT_DEVICE float rotated_element(const Spec& spec, const float* y, const float* cosines, int i) {
  if (i >= spec.rope_dim) return y[i];
  const int half = spec.rope_dim / 2;
  const bool neox = spec.layout == Layout::neox;
  const int angle = neox ? i % half : i / 2;
  const int first = neox ? angle : 2 * angle;
  const int second = neox ? angle + half : 2 * angle + 1;
  const Pair o =
      rotate<kDType>(spec.rounding, {y[first], y[second]}, cosines[angle], cosines[half + angle]);
  return i == first ? o.first : o.second;
}

template <DType kDType>
static QKJIT_DEVICE void generic(const GenericParams& g) {
  using F = Format<kDType>;
  using Storage = typename F::Storage;
  __shared__ float staged[kGenericRowsPerBlock][kGenericMaxHeadDim];
  const int lane = threadIdx.x % 32;
  const unsigned row_index = blockIdx.x * kGenericRowsPerBlock + threadIdx.x / 32;
  if (row_index >= g.common.row_count) return;  // whole warps leave
  const RowView row = find_row(g.common, row_index);
  const Spec& spec = g.spec;
  float* y = staged[threadIdx.x / 32];

  const Storage* in = static_cast<const Storage*>(row.rows.in) + row.in_offset();
  for (int i = lane; i < spec.head_dim; i += 32) y[i] = F::load(in[i]);
  __syncwarp();

  const float r =
      reciprocal_rms(sum_staged_row(y, spec.head_dim, lane), g.inv_head_dim, g.common.eps);
  __syncwarp();
  const Storage* weight = static_cast<const Storage*>(row.rows.weight);
  for (int i = lane; i < spec.head_dim; i += 32) {
    y[i] = normalize<kDType>(spec.rounding, y[i], r, F::load(weight[i]));
  }
  __syncwarp();

  const float* cosines = nullptr;
  if (spec.rope_dim > 0) cosines = find_angles(g.common, spec.positions, spec.rope_dim, row.token);
  Storage* out = static_cast<Storage*>(row.rows.out) + row.out_offset();
  for (int i = lane; i < spec.head_dim; i += 32) {
    out[i] = F::store(rotated_element<kDType>(spec, y, cosines, i));
  }
}

}  // namespace qkjit
