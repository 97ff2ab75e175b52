// The generic kernel: any head_dim up to 1024, any alignment, all shapes at run time. It is
// compiled to PTX when the library is built, so it serves with no compiler and no cache. As in the
// fused kernel a warp takes a slice, neighbouring heads of one token, and a group of lanes owns a
// row of it, or two; lane l has chunks l, l + lanes, ... of each.
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

/// Where a lane of the generic kernel stands.
struct AnyLane {
  int lanes;     ///< of a group
  int in_group;  ///< this one's number
  int group, groups;

  QKJIT_DEVICE explicit AnyLane(int lanes_)
      : lanes(lanes_),
        in_group(static_cast<int>(threadIdx.x % 32) % lanes),
        group(static_cast<int>(threadIdx.x % 32) / lanes),
        groups(32 / lanes) {}

  QKJIT_DEVICE unsigned row(int i) const { return static_cast<unsigned>(i * groups + group); }
  QKJIT_DEVICE int first(int slot) const { return (in_group + slot * lanes) * kChunk; }
};

/// The chunks of the rows that a lane group has in flight.
template <int kSlots>
using AnyRows = float[generic_rows(kSlots)][kSlots][kChunk];

/// The token's angles, whatever their form, as a plain row in shared memory of the warp, `to`, with
/// room for two values an angle on 16 bytes: so the table's form matters here alone.
QKJIT_DEVICE TableRows stage_angles(const TableRows& table, float* to) {
  const int angles = table.form.angles();
#pragma unroll 1
  for (int angle = static_cast<int>(threadIdx.x % 32); angle < angles; angle += 32) {
    to[angle] = table.cosine(angle);
    to[angles + angle] = table.sine(angle);
  }
  __syncwarp();
  TableForm plain = TableForm::of({.rope_dim = table.form.rope_dim});
  plain.by_element = table.form.by_element;
  return {
      plain, true, reinterpret_cast<const char*>(to), reinterpret_cast<const char*>(to + angles),
      0,     {}};
}

/// Neox pairs of rows with one chunk a lane.
template <DType kDType, int kRows>
QKJIT_DEVICE void shuffle_any_rows(Rounding rounding, const TableRows& table, int begin,
                                   const AnyLane& lane, float (&y)[kRows][1][kChunk]) {
  const int rope_dim = table.form.rope_dim, half = rope_dim / 2, first = lane.first(0) - begin;
  const auto partners =
      PartnerLanes::of(half, lane.in_group - begin / kChunk, static_cast<int>(threadIdx.x % 32));
  ChunkAngles angles = {};
  load_exchanged(table, first, angles);
#pragma unroll
  for (int i = 0; i < kRows; ++i) {
    if (half % kChunk == 0) {
      rotate_by_shuffle<kDType, 0>(rounding, rope_dim, first, angles, partners, y[i][0]);
    } else {
      rotate_by_shuffle<kDType, kChunk / 2>(rounding, rope_dim, first, angles, partners, y[i][0]);
    }
  }
}

/// A rotated part that begins inside a chunk, at element `begin`: pairs of either layout may lie
/// across chunks, so they are rotated in shared memory, which `shown_row` gives for a row.
template <DType kDType, int kSlots, class ShownRow>
QKJIT_DEVICE void rotate_across_chunks(Rounding rounding, bool neox, const TableRows& table,
                                       int begin, const AnyLane& lane, ShownRow shown_row,
                                       AnyRows<kSlots>& y) {
  constexpr int kRows = generic_rows(kSlots);
  const int half = table.form.rope_dim / 2;
#pragma unroll
  for (int i = 0; i < kRows; ++i) {
    float* const row = shown_row(i);
#pragma unroll
    for (int slot = 0; slot < kSlots; ++slot) show_chunk(y[i][slot], lane.first(slot), row);
    __syncwarp();
#pragma unroll 1
    for (int pair = lane.in_group; pair < half; pair += lane.lanes) {
      float& first = row[begin + (neox ? pair : 2 * pair)];
      float& second = row[begin + (neox ? pair + half : 2 * pair + 1)];
      const int other = neox ? table.form.angle_of(pair + half) : pair;
      rotate_pair<kDType>(rounding, first, second, table.cosine(pair), table.sine(pair),
                          table.cosine(other), table.sine(other));
    }
    __syncwarp();
#pragma unroll
    for (int slot = 0; slot < kSlots; ++slot) {
      load_floats<kChunk>(row + lane.first(slot), y[i][slot]);
    }
  }
}

/// The rotated part of the rows. `shown` is shared memory of the warp.
template <DType kDType, int kSlots>
QKJIT_DEVICE void rotate_any_rows(const Spec& spec, const TableRows& table, const AnyLane& lane,
                                  float* shown, AnyRows<kSlots>& y) {
  constexpr int kRows = generic_rows(kSlots);
  const Rounding rounding = spec.rounding == Rounding::eager ? Rounding::eager : Rounding::fused;
  const bool neox = spec.layout == Layout::neox;
  const int begin = rotated_begin(spec);
  const auto shown_row = [&](int i) { return shown + lane.row(i) * lane.lanes * kSlots * kChunk; };
  if (begin % kChunk != 0) {
    return rotate_across_chunks<kDType, kSlots>(rounding, neox, table, begin, lane, shown_row, y);
  }
  if constexpr (kSlots == 1) {
    if (neox && spec.rope_dim % kChunk == 0) {
      return shuffle_any_rows<kDType>(rounding, table, begin, lane, y);
    }
  }
  if (neox) {
#pragma unroll
    for (int i = 0; i < kRows; ++i) {
#pragma unroll
      for (int slot = 0; slot < kSlots; ++slot) {
        const int first = lane.first(slot) - begin;
        if (0 <= first && first < spec.rope_dim) show_chunk(y[i][slot], first, shown_row(i));
      }
    }
    __syncwarp();
  }
#pragma unroll
  for (int slot = 0; slot < kSlots; ++slot) {
    const int first = lane.first(slot) - begin;
    if (first < 0 || first >= spec.rope_dim) continue;
    ChunkAngles angles = {};
    if (neox) {
      load_exchanged(table, first, angles);
    } else {
      load_interleaved(table, first, angles);
    }
#pragma unroll
    for (int i = 0; i < kRows; ++i) {
      if (neox) {
        rotate_exchanged<kDType>(rounding, spec.rope_dim, first, angles, shown_row(i), y[i][slot]);
      } else {
        rotate_interleaved<kDType>(rounding, spec.rope_dim, first, angles, y[i][slot]);
      }
    }
  }
}

template <DType kDType, int kSlots>
QKJIT_DEVICE void normalize_any_rows(const GenericParams& g, const void* weight,
                                     const AnyLane& lane, AnyRows<kSlots>& y) {
  using Storage = typename Format<kDType>::Storage;
  constexpr int kRows = generic_rows(kSlots);
  float r[kRows];
#pragma unroll
  for (int i = 0; i < kRows; ++i) {
    r[i] = reciprocal_rms(sum_any_row<kSlots>(y[i], lane.lanes), g.inv_head_dim, g.common.eps);
  }
#pragma unroll
  for (int slot = 0; slot < kSlots; ++slot) {
    const int first = lane.first(slot);
    float w[kChunk];
    load_any_chunk<kDType>(g.wide_rows, static_cast<const Storage*>(weight) + first,
                           g.spec.head_dim - first, w);
#pragma unroll
    for (int i = 0; i < kRows; ++i) {
      normalize_any_chunk<kDType>(g.spec.rounding, y[i][slot], r[i], w);
    }
  }
}

template <DType kDType, int kSlots>
static QKJIT_DEVICE void generic(const GenericParams& g) {
  using Storage = typename Format<kDType>::Storage;
  constexpr int kRows = generic_rows(kSlots), kWarps = kGenericThreads / 32;
  alignas(16) __shared__ float shown[kWarps][32 * kRows * kSlots * kChunk];
  alignas(16) __shared__ float angles[kWarps][generic_angle_values(kSlots)];
  const unsigned warp = threadIdx.x / 32;
  const unsigned index = blockIdx.x * kWarps + warp;
  if (index >= g.slices.count) return;  // whole warps leave
  const unsigned token = index / g.slices.by_token;
  const unsigned slice = index - token * g.slices.per_token;
  const bool is_q = slice < g.slices.of_q;
  const AnyLane lane(g.lanes);
  const Rows& rows = is_q ? g.common.q : g.common.k;
  const unsigned head = (is_q ? slice : slice - g.slices.of_q) * lane.groups * kRows;
  const RowView view{rows, token, head};
  // A lane group without a row goes along with an empty one.
  const auto elements = [&](int i, int slot) {
    return (head + lane.row(i) < rows.heads ? g.spec.head_dim : 0) - lane.first(slot);
  };

  AnyRows<kSlots> y;
  const Storage* in = static_cast<const Storage*>(rows.in) + view.in_offset();
#pragma unroll
  for (int i = 0; i < kRows; ++i) {
#pragma unroll
    for (int slot = 0; slot < kSlots; ++slot) {
      load_any_chunk<kDType>(g.wide_rows, in + lane.row(i) * rows.in_head_stride + lane.first(slot),
                             elements(i, slot), y[i][slot]);
    }
  }
  TableRows table{};
  if (g.spec.rope_dim > 0) {
    const TableForm form = TableForm::of(g.spec);
    table = stage_angles(find_angles(g.common, g.spec.positions, form, false, token), angles[warp]);
  }
  if (g.spec.norm != Norm::none) normalize_any_rows<kDType, kSlots>(g, rows.weight, lane, y);
  if (g.spec.rope_dim > 0) {
    rotate_any_rows<kDType, kSlots>(g.spec, table, lane, shown[warp], y);
  }
  Storage* out = static_cast<Storage*>(rows.out) + view.out_offset();
#pragma unroll
  for (int i = 0; i < kRows; ++i) {
#pragma unroll
    for (int slot = 0; slot < kSlots; ++slot) {
      store_any_chunk<kDType>(g.wide_rows,
                              out + lane.row(i) * rows.out_head_stride + lane.first(slot),
                              elements(i, slot), y[i][slot]);
    }
  }
}

}  // namespace qkjit
