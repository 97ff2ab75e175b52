// The generic kernel: any head_dim up to 1024, any alignment, all shapes at run time. It is
// compiled to PTX when the library is built, so it serves with no compiler and no cache. A group of
// lanes owns one row; lane l has chunks l, l + lanes, ... Every lane has loaded its chunks before
// the group's first store, so in place is as good as out of place.
#pragma once

#include "arithmetic.cuh"
#include "generic_params.cuh"
#include "memory.cuh"
#include "rope.cuh"
#include "rows.cuh"

namespace qkjit {

/// The `count` elements of a chunk, which may end or begin anywhere; the rest is zero.
template <DType kDType>
QKJIT_DEVICE void load_any_chunk(bool wide, const typename Format<kDType>::Storage* from, int count,
                                 float (&x)[kChunk]) {
  if (wide && count >= kChunk) return Chunk<kDType>::load(from).unpack(x);
#pragma unroll
  for (int i = 0; i < kChunk; ++i) x[i] = i < count ? Format<kDType>::load(from[i]) : 0;
}

template <DType kDType>
QKJIT_DEVICE void store_any_chunk(bool wide, typename Format<kDType>::Storage* to, int count,
                                  const float (&x)[kChunk]) {
  if (wide && count >= kChunk) return Chunk<kDType>::pack(x).store(to, Hint::streaming);
#pragma unroll
  for (int i = 0; i < kChunk; ++i) {
    if (i < count) to[i] = Format<kDType>::store(x[i]);
  }
}

// As in the fused kernel, all lanes of a warp stay together.
constexpr unsigned kGenericWarp = 0xffffffff;

/// The butterfly of arithmetic.cuh over slots and lanes, padded to kSlots * lanes chunks.
template <int kSlots>
QKJIT_DEVICE float sum_any_row(const float (&x)[kSlots][kChunk], int lanes) {
  float sums[kSlots];
#pragma unroll
  for (int slot = 0; slot < kSlots; ++slot) sums[slot] = sum_of_squares(x[slot]);
#pragma unroll
  for (int d = kSlots / 2; d > 0; d /= 2) {
#pragma unroll
    for (int slot = 0; slot < d; ++slot) sums[slot] = add_rn(sums[slot], sums[slot + d]);
  }
  for (int d = lanes / 2; d > 0; d /= 2) {
    sums[0] = add_rn(sums[0], __shfl_xor_sync(kGenericWarp, sums[0], d));
  }
  return sums[0];
}

/// One mode for a whole chunk, so that the choice is made once for eight elements.
template <DType kDType>
QKJIT_DEVICE void normalize_any_chunk(Rounding rounding, float (&x)[kChunk], float r,
                                      const float (&w)[kChunk]) {
  switch (rounding) {
    case Rounding::fused:
      return normalize_chunk<kDType>(Rounding::fused, x, r, w);
    case Rounding::split:
    case Rounding::eager:
      return normalize_chunk<kDType>(Rounding::split, x, r, w);
    case Rounding::hf:
      return normalize_chunk<kDType>(Rounding::hf, x, r, w);
    case Rounding::late_weight:
      return normalize_chunk<kDType>(Rounding::late_weight, x, r, w);
  }
}

/// Neox pairs of rows with one chunk a lane.
template <DType kDType>
QKJIT_DEVICE void shuffle_any_row(Rounding rounding, const TableRow& table, int lane,
                                  float (&y)[kChunk]) {
  const int half = table.rope_dim / 2, first = lane * kChunk;
  const auto partners = PartnerLanes::of(half, lane, static_cast<int>(threadIdx.x % 32));
  ChunkAngles angles = {};
  load_exchanged(table, first, angles);
  if (half % kChunk == 0) {
    rotate_by_shuffle<kDType, 0>(rounding, table.rope_dim, first, angles, partners, y);
  } else {
    rotate_by_shuffle<kDType, kChunk / 2>(rounding, table.rope_dim, first, angles, partners, y);
  }
}

/// The rotated part of a row. `shown` is the row's shared memory.
template <DType kDType, int kSlots>
QKJIT_DEVICE void rotate_any_row(const GenericParams& g, const TableRow& table, int lane,
                                 float* shown, float (&y)[kSlots][kChunk]) {
  const Spec& spec = g.spec;
  const Rounding rounding = spec.rounding == Rounding::eager ? Rounding::eager : Rounding::fused;
  const bool neox = spec.layout == Layout::neox;
  const auto first = [&](int slot) { return (lane + slot * g.lanes) * kChunk; };
  if constexpr (kSlots == 1) {
    if (neox && spec.rope_dim % kChunk == 0) {
      return shuffle_any_row<kDType>(rounding, table, lane, y[0]);
    }
  }
  if (neox) {
#pragma unroll
    for (int slot = 0; slot < kSlots; ++slot) {
      if (first(slot) < spec.rope_dim) show_chunk(y[slot], first(slot), shown);
    }
    __syncwarp();
  }
#pragma unroll
  for (int slot = 0; slot < kSlots; ++slot) {
    if (first(slot) >= spec.rope_dim) continue;
    ChunkAngles angles = {};
    if (neox) {
      load_exchanged(table, first(slot), angles);
      rotate_exchanged<kDType>(rounding, spec.rope_dim, first(slot), angles, shown, y[slot]);
    } else {
      load_interleaved(table, first(slot), angles);
      rotate_interleaved<kDType>(rounding, spec.rope_dim, first(slot), angles, y[slot]);
    }
  }
}

template <DType kDType, int kSlots>
static QKJIT_DEVICE void generic(const GenericParams& g) {
  using Storage = typename Format<kDType>::Storage;
  alignas(16) __shared__ float shown[kGenericThreads * kSlots * kChunk];
  const Spec& spec = g.spec;
  const unsigned lanes = static_cast<unsigned>(g.lanes);
  const unsigned group = threadIdx.x / lanes;
  const int lane = static_cast<int>(threadIdx.x - group * lanes);
  const unsigned row_index = blockIdx.x * (kGenericThreads / lanes) + group;
  // Groups beyond the last row go along with an empty one.
  const bool is_row = row_index < g.common.row_count;
  const int elements = is_row ? spec.head_dim : 0;
  const RowView row = find_row(g.common, is_row ? row_index : 0, g.by_heads);
  const auto first = [&](int slot) { return (lane + slot * g.lanes) * kChunk; };

  float y[kSlots][kChunk];
  const Storage* in = static_cast<const Storage*>(row.rows.in) + row.in_offset();
#pragma unroll
  for (int slot = 0; slot < kSlots; ++slot) {
    load_any_chunk<kDType>(g.wide_rows, in + first(slot), elements - first(slot), y[slot]);
  }
  TableRow table{nullptr, spec.rope_dim, g.wide_table};
  if (spec.rope_dim > 0) {
    table.cosines = find_angles(g.common, spec.positions, spec.rope_dim, row.token);
  }

  if (spec.norm != Norm::none) {
    const float sum = sum_any_row<kSlots>(y, g.lanes);
    const float r = reciprocal_rms(sum, g.inv_head_dim, g.common.eps);
    const Storage* weight = static_cast<const Storage*>(row.rows.weight);
#pragma unroll
    for (int slot = 0; slot < kSlots; ++slot) {
      float w[kChunk];
      load_any_chunk<kDType>(g.wide_rows, weight + first(slot), spec.head_dim - first(slot), w);
      normalize_any_chunk<kDType>(spec.rounding, y[slot], r, w);
    }
  }
  if (spec.rope_dim > 0) {
    float* row_shown = shown + group * lanes * kSlots * kChunk;
    rotate_any_row<kDType, kSlots>(g, table, lane, row_shown, y);
  }

  Storage* out = static_cast<Storage*>(row.rows.out) + row.out_offset();
#pragma unroll
  for (int slot = 0; slot < kSlots; ++slot) {
    store_any_chunk<kDType>(g.wide_rows, out + first(slot), elements - first(slot), y[slot]);
  }
}

}  // namespace qkjit
