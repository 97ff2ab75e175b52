// Stores rows of the generic kernel as outputs of another kind: with FP8 scales, or to a slot of a
// paged cache.
#pragma once

#include "generic_rows.cuh"
#include "output_rows.cuh"

namespace qkjit {

/// Where the rows of a lane group go. A group without rows has no slot either.
template <class SomeRows>
QKJIT_DEVICE TokenOut find_any_out(const GenericParams& g, const SomeRows& rows) {
  if (rows.elements[0] == 0) return {};
  const Tensor tensor = rows.is_v ? Tensor::v : rows.is_q ? Tensor::q : Tensor::k;
  TokenOfSequence in{0, rows.token};
  if (g.spec.batch == Batch::strided) in = find_in_sequence(g.batches, rows.token);
  return find_out(g.spec, g, tensor, in.sequence, in.token);
}

/// Makes a row ready for FP8; gives the larger of `largest` and what is largest in the lane's
/// chunks.
template <DType kDType, int kSlots>
QKJIT_DEVICE float prepare_any_row(const Spec& spec, const AnyLane& lane, int elements,
                                   float (&y)[kSlots][kChunk], float largest) {
#pragma unroll
  for (int slot = 0; slot < kSlots; ++slot) {
    if (lane.first_element(slot) >= elements) continue;
    if (elements - lane.first_element(slot) < kChunk) {  // past its end anything may be
#pragma unroll
      for (int j = 0; j < kChunk; ++j) {
        if (lane.first_element(slot) + j >= elements) y[slot][j] = 0;
      }
    }
    largest = prepare_for_fp8<kDType>(spec.rounding, y[slot], largest);
  }
  return largest;
}

/// Row `i` of V, as it was.
template <DType kDType, int kRows, int kSlots>
QKJIT_DEVICE void load_any_values(const GenericParams& g, const AnyLane& lane,
                                  const AnyRows<typename Format<kDType>::Storage, kRows>& rows,
                                  int i, float (&y)[kSlots][kChunk]) {
  if (!rows.is_v) return;
#pragma unroll
  for (int slot = 0; slot < kSlots; ++slot) {
    const int first = lane.first_element(slot);
    const auto* const in = rows.in + i * rows.in_step + first;
    load_any_chunk<kDType>(g.whole_rows, in, rows.elements[i] - first).unpack(y[slot]);
  }
}

/// Adds to what is largest in the rows' token and tensor.
template <DType kDType, int kRows, int kSlots>
QKJIT_DEVICE void find_any_largest(const GenericParams& g, const AnyLane& lane,
                                   const AnyRows<typename Format<kDType>::Storage, kRows>& rows,
                                   float (&y)[kRows][kSlots][kChunk], TokenLargest& largest) {
  const Tensor tensor = rows.is_v ? Tensor::v : rows.is_q ? Tensor::q : Tensor::k;
  float own = 0;
#pragma unroll
  for (int i = 0; i < kRows; ++i) {
    load_any_values<kDType>(g, lane, rows, i, y[i]);
    const int elements = lane.is_left_over ? 0 : rows.elements[i];
    own = prepare_any_row<kDType>(g.spec, lane, elements, y[i], own);
  }
  largest.q = tensor == Tensor::q ? larger_magnitude(largest.q, own) : largest.q;
  largest.k = tensor == Tensor::k ? larger_magnitude(largest.k, own) : largest.k;
  largest.v = tensor == Tensor::v ? larger_magnitude(largest.v, own) : largest.v;
}

/// Makes a row ready for FP8 and gives the inverse of its scale; a scale that is found is written
/// to `scale`, which is null for a row that does not go to FP8. Every lane of the warp takes part.
template <DType kDType, int kSlots>
QKJIT_DEVICE float scale_any_row(const Spec& spec, const AnyLane& lane, int elements, float* scale,
                                 float shared, float (&y)[kSlots][kChunk]) {
  const float largest = prepare_any_row<kDType>(spec, lane, elements, y, 0);
  if (spec.out_scale == OutScale::given) return inverse_of(scale ? *scale : 1);
  const bool by_token = scales_tokens(spec);
  const float found = by_token ? shared : scale_of(largest_of_group(lane.in, largest));
  if (scale && lane.in.in_group == 0 && !lane.is_left_over) *scale = found;
  return inverse_of(found);
}

/// A chunk of FP8 of which `count` elements exist: all or none if `whole`, and then on 8 bytes.
QKJIT_DEVICE void store_any_fp8(bool whole, uint2 values, char* to, int count) {
  if (whole) return store_8_bytes(Hint::streaming, reinterpret_cast<uint2*>(to), values);
#pragma unroll
  for (int j = 0; j < kChunk; ++j) {
    if (j < count) to[j] = static_cast<char>((j < 4 ? values.x : values.y) >> (8 * (j % 4)));
  }
}

/// As store_any_rows(), of q, k and V. `scales` are those that a token's heads share.
template <DType kDType, int kRows, int kSlots>
QKJIT_DEVICE void store_any_outputs(const GenericParams& g, const AnyLane& lane,
                                    const AnyRows<typename Format<kDType>::Storage, kRows>& rows,
                                    float (&y)[kRows][kSlots][kChunk],
                                    const TokenScales& scales = {}) {
  using Storage = typename Format<kDType>::Storage;
  const TokenOut out = find_any_out(g, rows);
  const Tensor tensor = rows.is_v ? Tensor::v : rows.is_q ? Tensor::q : Tensor::k;
  const bool to_fp8 = is_fp8(g.spec, rows.is_q);
#pragma unroll
  for (int i = 0; i < kRows; ++i) {
    const bool exists = rows.elements[i] > 0 && out.exists();
    const unsigned head = rows.first_head + i * rows.apart;
    const Storage* const in = rows.in + i * rows.in_step;
    load_any_values<kDType>(g, lane, rows, i, y[i]);
    float inv = 1;
    if (has_fp8(g.spec)) {
      // One that all heads share is the first one's to write.
      const bool has_scale = exists && to_fp8 && (!scales_tokens(g.spec) || head == 0);
      float* const scale = has_scale ? out.scale + head * out.scale_stride : nullptr;
      const float shared = scales.of(tensor);
      inv = scale_any_row<kDType>(g.spec, lane, rows.elements[i], scale, shared, y[i]);
    }
    if (!exists) continue;
    char* const row = out.begin + head * out.stride;
#pragma unroll
    for (int slot = 0; slot < kSlots; ++slot) {
      const int first = lane.first_element(slot), count = rows.elements[i] - first;
      if (count <= 0) continue;
      auto* const to = reinterpret_cast<Storage*>(row) + first;
      if (to_fp8) {
        store_any_fp8(g.whole_rows, pack_fp8_chunk(y[i][slot], inv), row + first, count);
      } else if (g.whole_rows) {
        const auto chunk =
            rows.is_v ? Chunk<kDType>::load(in + first) : Chunk<kDType>::pack(y[i][slot]);
        chunk.store(to, Hint::streaming);
      } else {
#pragma unroll
        for (int j = 0; j < kChunk; ++j) {
          if (j < count) to[j] = rows.is_v ? in[first + j] : Format<kDType>::store(y[i][slot][j]);
        }
      }
    }
  }
}

}  // namespace qkjit
