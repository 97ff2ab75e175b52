#include "cpu/copy.hpp"

#include <array>

#include "kernels/sequence.cuh"
#include "spec/support.hpp"
#include "util/float_environment.hpp"

namespace qkjit {
namespace {

/// All heads of a token, twice where they share a scale.
template <DType kDType>
void copy_to_fp8(const Spec& spec, const Rows& rows, unsigned token, const TokenOut& out) {
  using F = Format<kDType>;
  std::array<float, kMaxHeadDim> y;
  const std::span values = std::span(y).first(static_cast<std::size_t>(spec.head_dim));
  const auto load = [&](unsigned head) {
    const auto* const from =
        static_cast<const typename F::Storage*>(rows.in) + RowView{rows, token, head}.in_offset();
    for (int i = 0; i < spec.head_dim; ++i) y[i] = F::load(from[i]);
  };
  float largest = 0;
  for (unsigned head = 0; head < rows.heads && scales_tokens(spec); ++head) {
    load(head);
    largest = prepare_row<kDType>(spec, values, largest);
  }
  for (unsigned head = 0; head < rows.heads; ++head) {
    load(head);
    store_fp8<kDType>(spec, values, scale_of(largest), out.scale + head * out.scale_stride,
                      out.begin + head * out.stride);
  }
}

void copy_to_fp8(const Spec& spec, const Rows& rows, unsigned token, const TokenOut& out) {
  switch (spec.dtype) {
    case DType::bf16:
      return copy_to_fp8<DType::bf16>(spec, rows, token, out);
    case DType::fp16:
      return copy_to_fp8<DType::fp16>(spec, rows, token, out);
    case DType::fp32:
      return copy_to_fp8<DType::fp32>(spec, rows, token, out);
  }
}

}  // namespace

void copy_on_cpu(const Spec& spec, unsigned sequences, const CpuOutputs& outputs) {
  const FloatEnvironment ieee;
  const ValueRows& v = outputs.v;
  const int size = size_of(spec.dtype);
  for (unsigned sequence = 0; sequence < sequences; ++sequence) {
    const Rows rows = rows_of_sequence(v.rows, v.of, size, sequence);
    for (unsigned token = 0; token < v.of.tokens; ++token) {
      const TokenOut out = find_out(spec, outputs, Tensor::v, sequence, token);
      if (!out.exists()) continue;
      if (is_fp8(spec, false)) {
        copy_to_fp8(spec, rows, token, out);
        continue;
      }
      for (unsigned head = 0; head < rows.heads; ++head) {
        const RowView row{rows, token, head};
        const char* const from = static_cast<const char*>(rows.in) + row.in_offset() * size;
        // Both may be the same row.
        std::memmove(out.begin + head * out.stride, from,
                     static_cast<std::size_t>(spec.head_dim * size));
      }
    }
  }
}

}  // namespace qkjit
