// Stores rows in host memory: as the dtype, or as outputs of another kind.
#pragma once

#include <cstring>
#include <span>

#include "kernels/arithmetic.cuh"
#include "kernels/fp8.cuh"
#include "kernels/outputs.cuh"
#include "kernels/rows.cuh"

namespace qkjit {

/// What of a call says where outputs of another kind go; see find_out().
struct CpuOutputs {
  const Params& common;
  const Batches& batches;
  const ValueRows& v;
  const Outputs& outputs;
};

/// Which output a row goes to.
struct RowOutput {
  const CpuOutputs* outputs;
  Tensor tensor;
  unsigned sequence = 0;
  float* largest = nullptr;  ///< nothing is stored but what is largest, where heads share a scale
  float shared_scale = 0;    ///< then that scale
};

/// As the scale takes it; gives the larger of `largest` and what is largest in it.
template <DType kDType>
float prepare_row(const Spec& spec, std::span<float> y, float largest) {
  for (float& x : y) {
    x = handed_over<kDType>(spec.rounding, x);
    largest = larger_magnitude(largest, x);
  }
  return largest;
}

/// To FP8, with a scale that is given or found.
template <DType kDType>
void store_fp8(const Spec& spec, std::span<float> y, float shared_scale, float* scale, char* to) {
  const float largest = prepare_row<kDType>(spec, y, 0);
  if (spec.out_scale == OutScale::head) *scale = scale_of(largest);
  if (scales_tokens(spec)) *scale = shared_scale;
  const float inv = inverse_of(*scale);
  for (std::size_t i = 0; i < y.size(); ++i) {
    to[i] = static_cast<char>(float_to_e4m3(mul_rn(y[i], inv)));
  }
}

/// A row of q or of k, of which nothing is left as it was.
template <DType kDType>
void store_row(const Spec& spec, const RowView& row, const RowOutput& output, std::span<float> y) {
  using F = Format<kDType>;
  using Storage = typename F::Storage;
  const auto store = [&](Storage* to) {
    for (std::size_t i = 0; i < y.size(); ++i) to[i] = F::store(y[i]);
  };
  if (!has_other_outputs(spec))
    return store(static_cast<Storage*>(row.rows.out) + row.out_offset());
  if (output.largest) {
    *output.largest = prepare_row<kDType>(spec, y, *output.largest);
    return;
  }
  const TokenOut out = find_out(spec, *output.outputs, output.tensor, output.sequence, row.token);
  if (!out.exists()) return;
  char* const to = out.begin + row.head * out.stride;
  if (!is_fp8(spec, output.tensor == Tensor::q)) return store(reinterpret_cast<Storage*>(to));
  store_fp8<kDType>(spec, y, output.shared_scale, out.scale + row.head * out.scale_stride, to);
}

}  // namespace qkjit
