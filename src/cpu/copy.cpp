#include "cpu/copy.hpp"

#include <array>

#include "kernels/sequence.cuh"
#include "spec/support.hpp"
#include "util/float_environment.hpp"

namespace qkjit {
namespace {

template <DType kDType>
void copy_to_fp8(const Spec& spec, const void* from, const TokenOut& out, unsigned head) {
  using F = Format<kDType>;
  std::array<float, kMaxHeadDim> y;
  for (int i = 0; i < spec.head_dim; ++i) {
    y[i] = F::load(static_cast<const typename F::Storage*>(from)[i]);
  }
  store_fp8<kDType>(spec, std::span(y).first(static_cast<std::size_t>(spec.head_dim)),
                    out.scale + head * out.scale_stride, out.begin + head * out.stride);
}

void copy_to_fp8(const Spec& spec, const void* from, const TokenOut& out, unsigned head) {
  switch (spec.dtype) {
    case DType::bf16:
      return copy_to_fp8<DType::bf16>(spec, from, out, head);
    case DType::fp16:
      return copy_to_fp8<DType::fp16>(spec, from, out, head);
    case DType::fp32:
      return copy_to_fp8<DType::fp32>(spec, from, out, head);
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
      for (unsigned head = 0; head < rows.heads && out.exists(); ++head) {
        const RowView row{rows, token, head};
        const char* const from = static_cast<const char*>(rows.in) + row.in_offset() * size;
        if (is_fp8(spec, false)) {
          copy_to_fp8(spec, from, out, head);
          continue;
        }
        // Both may be the same row.
        std::memmove(out.begin + head * out.stride, from,
                     static_cast<std::size_t>(spec.head_dim * size));
      }
    }
  }
}

}  // namespace qkjit
