// The norm of a lane's rows in the generic kernel. The groups of a warp may have rows of q and of
// k: what a norm of either needs, all of them add up.
#pragma once

#include "generic_rows.cuh"
#include "norm.cuh"

namespace qkjit {

/// One mode for a whole chunk, so that the choice is made once for all of its elements. `vectors`
/// are the chunk's weights, and its biases if there are any.
template <DType kDType, class... Vectors>
QKJIT_DEVICE void normalize_any_chunk(Rounding rounding, float (&x)[kChunk], float r,
                                      const Vectors&... vectors) {
  const Rounding of_norm = norm_rounding(rounding);
  if (of_norm == Rounding::fused) {
    normalize_chunk<kDType>(Rounding::fused, x, r, vectors...);
  } else if (of_norm == Rounding::hf) {
    normalize_chunk<kDType>(Rounding::hf, x, r, vectors...);
  } else if (of_norm == Rounding::late_weight) {
    normalize_chunk<kDType>(Rounding::late_weight, x, r, vectors...);
  } else {
    normalize_chunk<kDType>(Rounding::split, x, r, vectors...);
  }
}

/// Element `i` of a vector of weights or biases.
QKJIT_DEVICE float load_any_weight(DType dtype, const void* from, int i) {
  if (dtype == DType::fp32) return Format<DType::fp32>::load(static_cast<const float*>(from)[i]);
  const unsigned short bits = static_cast<const unsigned short*>(from)[i];
  return dtype == DType::bf16 ? Format<DType::bf16>::load(bits) : Format<DType::fp16>::load(bits);
}

/// The chunk that begins with `first` of a vector of weights or biases.
QKJIT_DEVICE void load_any_vector(const Spec& spec, const void* from, int first,
                                  float (&x)[kChunk]) {
#pragma unroll
  for (int i = 0; i < kChunk; ++i) {
    x[i] = first + i < spec.head_dim ? load_any_weight(dtype_of_weights(spec), from, first + i) : 0;
  }
}

/// All lanes add chunks together, whichever norm their rows have.
template <DType kDType, int kSlots, class SomeRows>
QKJIT_DEVICE void normalize_any_rows(const Spec& spec, float inv, float eps, const AnyLane& lane,
                                     const SomeRows& rows, Norm norm,
                                     const AnyChunks<kDType, 1, kSlots>& early,
                                     AnyValues<kSlots>& y) {
  constexpr int kRows = generic_rows(kSlots);
  const bool centres = spec.q_norm == Norm::layer || spec.k_norm == Norm::layer;
  const auto elements = [&](int i) {
    return [&, i](int slot) { return rows.elements[i] - lane.first_element(slot); };
  };
  float chunks[kRows][kSlots], r[kRows];
  if (spec.norm_order == NormOrder::after && norm != Norm::none) {
#pragma unroll
    for (int i = 0; i < kRows; ++i) hand_over_row<kDType>(spec.rounding, elements(i), y[i]);
  }
  if (centres) {
#pragma unroll
    for (int i = 0; i < kRows; ++i) sum_chunks(y[i], chunks[i]);
    add_chunks(lane.in, chunks, r);
#pragma unroll
    for (int i = 0; i < kRows; ++i) {
      if (norm == Norm::layer) centre_row(r[i], inv, elements(i), y[i]);
    }
  }
#pragma unroll
  for (int i = 0; i < kRows; ++i) square_chunks(y[i], chunks[i]);
  add_chunks(lane.in, chunks, r);
#pragma unroll
  for (int i = 0; i < kRows; ++i) r[i] = reciprocal_rms(r[i], inv, eps);
  if (norm == Norm::none) return;
#pragma unroll
  for (int slot = 0; slot < kSlots; ++slot) {
    const int first = lane.first_element(slot);
    float w[kChunk] = {};
    if (dtype_of_weights(spec) == kDType) {
      early[0][slot].unpack(w);
    } else if (has_weight(spec, norm)) {
      load_any_vector(spec, rows.weight, first, w);
    }
    make_effective(spec.weight, w);
    if (has_bias(spec, norm)) {
      float b[kChunk];
      load_any_vector(spec, rows.bias, first, b);
#pragma unroll
      for (int i = 0; i < kRows; ++i) {
        normalize_any_chunk<kDType>(spec.rounding, y[i][slot], r[i], w, b);
      }
    } else {
#pragma unroll
      for (int i = 0; i < kRows; ++i) {
        normalize_any_chunk<kDType>(spec.rounding, y[i][slot], r[i], w);
      }
    }
  }
}

}  // namespace qkjit
