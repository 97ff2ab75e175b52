// Stores rows of a lane group as outputs of another kind: with FP8 scales, or to a slot of a paged
// cache. 8 bytes of FP8 are a chunk.
#pragma once

#include "arithmetic.cuh"
#include "butterfly.cuh"
#include "fp8.cuh"
#include "lane.cuh"
#include "memory.cuh"
#include "outputs.cuh"

namespace qkjit {

/// The largest of what lanes of a group have, `largest` of this one, for any number of lanes: each
/// has seen twice as many after each step, some of them twice. Every lane of the warp takes part.
QKJIT_DEVICE float largest_of_group(const GroupLane& lane, float largest) {
  const bool is_power = lane.lanes == 2 * lane.half || lane.lanes == 1;
#pragma unroll
  for (int d = 1; d < 32; d *= 2) {
    if (d >= lane.lanes) continue;
    const int on = lane.in_group + d, from = on < lane.lanes ? on : on - lane.lanes;
    const float other = is_power ? __shfl_xor_sync(kWholeWarp, largest, d)
                                 : __shfl_sync(kWholeWarp, largest, lane.first + from);
    largest = larger_magnitude(largest, other);
  }
  return largest;
}

/// A chunk as the scale takes it.
template <DType kDType>
QKJIT_DEVICE float prepare_for_fp8(Rounding rounding, float (&y)[kChunk], float largest) {
#pragma unroll
  for (int i = 0; i < kChunk; ++i) {
    y[i] = handed_over<kDType>(rounding, y[i]);
    largest = larger_magnitude(largest, y[i]);
  }
  return largest;
}

QKJIT_DEVICE uint2 pack_fp8_chunk(const float (&y)[kChunk], float inv) {
  unsigned pairs[4];
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    pairs[i] = pack_e4m3(mul_rn(y[2 * i], inv), mul_rn(y[2 * i + 1], inv));
  }
  return {pairs[0] | pairs[1] << 16, pairs[2] | pairs[3] << 16};
}

/// What a lane has found of a token so far, where its heads share scales.
struct TokenLargest {
  float q = 0, k = 0, v = 0;

  QKJIT_DEVICE float& of(Tensor tensor) {
    return tensor == Tensor::v ? v : tensor == Tensor::q ? q : k;
  }
  template <class Row>
  QKJIT_DEVICE void keep(int, const Row&) {}
};

/// The same, and the rows of the one slice that a warp has of the token.
template <int kRows, int kSlots>
struct KeptRows : TokenLargest {
  float rows[kRows][kSlots][kChunk];

  QKJIT_DEVICE void keep(int i, const float (&row)[kSlots][kChunk]) {
#pragma unroll
    for (int slot = 0; slot < kSlots; ++slot) {
#pragma unroll
      for (int j = 0; j < kChunk; ++j) rows[i][slot][j] = row[slot][j];
    }
  }
};

/// Those scales, once all of the token is known.
struct TokenScales {
  float q, k, v;

  QKJIT_DEVICE float of(Tensor tensor) const {
    return tensor == Tensor::v ? v : tensor == Tensor::q ? q : k;
  }

  /// From what every lane of the block has found; `found` is shared memory of it, three a warp.
  static QKJIT_DEVICE TokenScales of_block(TokenLargest own, float* found) {
    const unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
    const GroupLane whole{32, 16, 0, static_cast<int>(lane)};
    const float largest[] = {largest_of_group(whole, own.q), largest_of_group(whole, own.k),
                             largest_of_group(whole, own.v)};
    if (lane < 3) found[3 * warp + lane] = lane == 0 ? largest[0] : largest[lane == 1 ? 1 : 2];
    __syncthreads();
    TokenLargest all;
#pragma unroll 1
    for (unsigned i = 0; i < warps; ++i) {
      all.q = larger_magnitude(all.q, found[3 * i]);
      all.k = larger_magnitude(all.k, found[3 * i + 1]);
      all.v = larger_magnitude(all.v, found[3 * i + 2]);
    }
    return {scale_of(all.q), scale_of(all.k), scale_of(all.v)};
  }
};

/// Whether slices are only looked at.
template <class Handed>
constexpr bool finds_largest = false;
template <>
inline constexpr bool finds_largest<TokenLargest&> = true;
template <int kRows, int kSlots>
inline constexpr bool finds_largest<KeptRows<kRows, kSlots>&> = true;

/// Where a scale is not shared by a token's heads, there is nothing to hand on.
struct OwnScales {};

/// Takes the rows of a slice for what is largest in them; `found` is a TokenLargest or KeptRows.
template <Spec kSpec, class T, class Found>
class LargestOfSlice {
 public:
  QKJIT_DEVICE LargestOfSlice(Found& found, Tensor tensor, unsigned rows, const Lane<T>& lane)
      : found_(found), tensor_(tensor), rows_(rows), lane_(lane) {}

  QKJIT_DEVICE void put(int i, LaneRow<T>& y) const {
    if (!lane_.has_row(i, rows_)) return;
    float& largest = found_.of(tensor_);
#pragma unroll
    for (int slot = 0; slot < T::kSlots; ++slot) {
      if (lane_.first_element(slot) >= kSpec.head_dim) continue;
      largest = prepare_for_fp8<kSpec.dtype>(kSpec.rounding, y[slot], largest);
    }
    found_.keep(i, y);
  }
  QKJIT_DEVICE void put_chunk(int, int, const Chunk<kSpec.dtype>&) const {}

 private:
  Found& found_;
  Tensor tensor_;
  unsigned rows_;
  const Lane<T>& lane_;
};

template <Spec kSpec, class T, class Found>
QKJIT_DEVICE LargestOfSlice<kSpec, T, Found> look_at_slice(Found& found, Tensor tensor,
                                                           unsigned rows, const Lane<T>& lane) {
  return {found, tensor, rows, lane};
}

/// Where the rows of a slice go. Slots and given scales are on their way since it was made, of
/// which nothing waits before the first row is stored.
template <Spec kSpec, class T, Hint kStore>
class OutputSlice {
 public:
  /// `rows` heads from `head` on. `call` has the members of OutputParams.
  template <class Call>
  QKJIT_DEVICE OutputSlice(const Call& call, Tensor tensor, unsigned sequence, unsigned token,
                           unsigned head, unsigned rows, const Lane<T>& lane)
      : is_fp8_(qkjit::is_fp8(kSpec, tensor == Tensor::q)), lane_(lane) {
    const TokenOut out = find_out(kSpec, call, tensor, sequence, token);
    const unsigned first = head + lane.row(0);
    rows_ = out.exists() ? rows : 0;
    row_ = out.begin + first * out.stride;
    row_step_ = T::kGroupsPerWarp * out.stride;
    scale_ = out.scale + first * out.scale_stride;
    scale_step_ = T::kGroupsPerWarp * out.scale_stride;
    if constexpr (kSpec.out_scale == OutScale::given) {
#pragma unroll
      for (int i = 0; i < T::kRows; ++i) {
        if (is_fp8_ && lane.has_row(i, rows)) scales_[i] = *scale(i);
      }
    }
  }

  /// With the scale that the token's heads share, which the first of them writes.
  template <class Call>
  QKJIT_DEVICE OutputSlice(const Call& call, Tensor tensor, unsigned sequence, unsigned token,
                           unsigned head, unsigned rows, const Lane<T>& lane,
                           const TokenScales& scales)
      : OutputSlice(call, tensor, sequence, token, head, rows, lane) {
#pragma unroll
    for (float& scale : scales_) scale = scales.of(tensor);
    const bool is_first = head == 0 && lane.in_group == 0 && lane.row(0) == 0;
    if (is_fp8_ && is_first && has_row(0)) *scale_ = scales.of(tensor);
  }

  /// The lane group's i-th row, of which nothing is left as it was.
  QKJIT_DEVICE void put(int i, LaneRow<T>& y) const {
    if (is_fp8_) return put_fp8(i, y);
#pragma unroll
    for (int slot = 0; slot < T::kSlots; ++slot) {
      if (lane_.first_element(slot) >= kSpec.head_dim) continue;
      put_chunk(i, slot, Chunk<kSpec.dtype>::pack(y[slot]));
    }
  }

  /// A chunk of it bit by bit.
  QKJIT_DEVICE void put_chunk(int i, int slot, const Chunk<kSpec.dtype>& chunk) const {
    if (!has_row(i)) return;
    chunk.store(row(i) + lane_.first_element(slot) * size_of(kSpec.dtype), kStore);
  }

 private:
  QKJIT_DEVICE bool has_row(int i) const { return lane_.has_row(i, rows_); }
  QKJIT_DEVICE char* row(int i) const { return row_ + i * row_step_; }
  QKJIT_DEVICE float* scale(int i) const { return scale_ + i * scale_step_; }

  QKJIT_DEVICE void put_fp8(int i, LaneRow<T>& y) const {
    float largest = 0;
#pragma unroll
    for (int slot = 0; slot < T::kSlots; ++slot) {
      if (lane_.first_element(slot) >= kSpec.head_dim) continue;
      largest = prepare_for_fp8<kSpec.dtype>(kSpec.rounding, y[slot], largest);
    }
    float& by = scales_[i];
    if constexpr (kSpec.out_scale == OutScale::head) {
      const auto in_group = static_cast<int>(lane_.in_group);
      const GroupLane group{T::kLanes, next_power_of_two(T::kLanes) / 2,
                            static_cast<int>(lane_.in_warp) - in_group, in_group};
      by = scale_of(largest_of_group(group, largest));
      if (i == T::kRows - 1) put_scales();
    }
    const float inv = kSpec.out_scale == OutScale::given ? inverse_of(by) : inverse_of_found(by);
    // A branch spares the conversions of rows that are not, but keeps the others apart: with
    // shuffles in each, those are better interleaved (docs/kernels.md).
    constexpr bool kBranches = kSpec.out_scale != OutScale::head;
    if (kBranches && !has_row(i)) return;
#pragma unroll
    for (int slot = 0; slot < T::kSlots; ++slot) {
      const int first = lane_.first_element(slot);
      if (first >= kSpec.head_dim) continue;
      auto* const to = reinterpret_cast<uint2*>(row(i) + first);
      const uint2 packed = pack_fp8_chunk(y[slot], inv);
      if (kBranches || has_row(i)) store_8_bytes(kStore, to, packed);
    }
  }

  /// Writes the scales that were found, each by another lane: together they are one access.
  QKJIT_DEVICE void put_scales() const {
    const auto in_group = static_cast<int>(lane_.in_group);
#pragma unroll
    for (int first = 0; first < T::kRows; first += T::kLanes) {
      int own = first;
      float found = scales_[first];
#pragma unroll
      for (int i = first + 1; i < T::kRows && i < first + T::kLanes; ++i) {
        if (in_group == i - first) own = i, found = scales_[i];
      }
      if (in_group < T::kRows - first && has_row(own)) *scale(own) = found;
    }
  }

  char* row_;  ///< of the lane group's first row
  float* scale_;
  long long row_step_, scale_step_;  ///< to its next one
  unsigned rows_;                    ///< none if the token goes nowhere
  bool is_fp8_;
  const Lane<T>& lane_;
  mutable float scales_[T::kRows] = {};  ///< given, or found so far
};

/// Stands for it where rows go to a tensor shaped as their input.
struct NoOutputSlice {};

}  // namespace qkjit
