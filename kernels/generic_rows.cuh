// Which rows and elements a lane of the generic kernel has, and how it reads and writes rows of any
// length on any boundary.
#pragma once

#include "butterfly.cuh"
#include "generic_params.cuh"
#include "memory.cuh"
#include "rows.cuh"
#include "sequence.cuh"

namespace qkjit {

struct AnyLane {
  GroupLane in;
  unsigned group;
  /// Lanes that are left over stand in the first group, but have no rows.
  bool is_left_over;

  static QKJIT_DEVICE AnyLane of(const LaneGroups& groups) {
    const unsigned in_warp = threadIdx.x % 32;
    const unsigned number = in_warp / groups.by_lanes;
    const int first = static_cast<int>(number) * groups.lanes;
    const bool is_left_over = number == groups.per_warp;
    return {{groups.lanes, groups.half, first, static_cast<int>(in_warp) - first},
            is_left_over ? 0 : number,
            is_left_over};
  }

  QKJIT_DEVICE int first_element(int slot) const {
    return (in.in_group + slot * in.lanes) * kChunk;
  }
};

/// A token of q or of k, which differ where batches do not fold, and the heads of it that a lane
/// group has in flight.
struct AnyToken {
  unsigned number;
  bool is_q;
  unsigned first_head, apart;  ///< of the group's rows, and from one to the next
  unsigned heads;              ///< that are rotated, of all that the token has
};

/// The rows that a lane group has in flight: heads of one token, all of q or all of k. They lie as
/// many heads apart as there are slices, so that neighbouring groups access neighbouring memory.
template <class Storage, int kRows>
struct AnyRows {
  unsigned token;
  bool is_q;                   ///< groups of one warp may differ in it
  bool is_v;                   ///< rows of V, which are only copied; never of Forms::common
  unsigned first_head, apart;  ///< of the first row, and from row to row
  unsigned heads;              ///< of the tensor
  const void *weight, *bias;
  const Storage* in;  ///< of the first row
  Storage* out;
  long long in_step, out_step;  ///< from row to row
  int elements[kRows];          ///< of a row: 0 if there is no such row

  /// `index` is the group's slice, of those before `end_of_slices`. A group without one goes along
  /// with the last, for nothing.
  template <Forms kForms>
  static QKJIT_DEVICE AnyRows of(const GenericParams& g, unsigned index, unsigned end_of_slices,
                                 bool is_left_over) {
    const bool has_slice = index < end_of_slices && !is_left_over;
    index = index < end_of_slices ? index : end_of_slices - 1;
    const unsigned token = index / g.slices.by_token;
    const unsigned slice = index - token * g.slices.per_token;
    const bool is_q = slice < g.slices.of_q;
    const bool copies = kForms != Forms::common && g.spec.v == Values::copy;
    const bool is_v = copies && slice >= g.v.first_slice;
    const Rows& rows = is_v ? g.v.rows : is_q ? g.common.q : g.common.k;
    const unsigned begin = is_v ? g.v.first_slice : is_q ? 0 : g.slices.of_q;
    const unsigned end = is_q              ? g.slices.of_q
                         : copies && !is_v ? g.v.first_slice
                                           : g.slices.per_token;
    RowView first{rows, token, slice - begin};
    const unsigned apart = end - begin;
    bool exists = true;
    long long before_in = 0, before_out = 0;  // of the sequence
    if (kForms != Forms::common && g.spec.batch == Batch::strided) {
      const Sequences& of = is_v ? g.v.of : is_q ? g.batches.q : g.batches.k;
      const TokenOfSequence in = find_in_sequence(g.batches, token);
      first.token = in.token;
      exists = in.token < of.tokens;
      before_in = in.sequence * of.in_stride, before_out = in.sequence * of.out_stride;
    }
    AnyRows found{token,
                  is_q,
                  is_v,
                  first.head,
                  apart,
                  rows.heads,
                  rows.weight,
                  rows.bias,
                  static_cast<const Storage*>(rows.in) + before_in + first.in_offset(),
                  static_cast<Storage*>(rows.out) + before_out + first.out_offset(),
                  apart * rows.in_head_stride,
                  apart * rows.out_head_stride,
                  {}};
#pragma unroll
    for (int i = 0; i < kRows; ++i) {
      const bool has_row = has_slice && exists && first.head + i * apart < rows.heads;
      found.elements[i] = has_row ? g.spec.head_dim : 0;
    }
    return found;
  }
};

/// Chunks of several rows, as they are stored. Past a row's end they are zero.
template <DType kDType, int kRows, int kSlots>
using AnyChunks = Chunk<kDType>[kRows][kSlots];

/// The lane's chunks of its rows, in fp32. Past a row's end they are zero, which pads the sum.
template <int kSlots>
using AnyValues = float[generic_rows(kSlots)][kSlots][kChunk];

/// A chunk of which `count` elements exist: all or none if `whole`, and then on 16 bytes.
template <DType kDType>
QKJIT_DEVICE Chunk<kDType> load_any_chunk(bool whole, const typename Format<kDType>::Storage* from,
                                          int count) {
  if (whole) return count > 0 ? Chunk<kDType>::load(from) : Chunk<kDType>{};
  typename Chunk<kDType>::Storage x[kChunk] = {};
#pragma unroll
  for (int i = 0; i < kChunk; ++i) {
    if (i < count) x[i] = from[i];
  }
  return Chunk<kDType>::of(x);
}

/// The lane's chunks of rows that lie `step` elements apart.
template <DType kDType, int kRows, int kSlots>
QKJIT_DEVICE void load_any_rows(bool whole, const AnyLane& lane,
                                const typename Format<kDType>::Storage* from, long long step,
                                const int (&elements)[kRows],
                                AnyChunks<kDType, kRows, kSlots>& to) {
#pragma unroll
  for (int i = 0; i < kRows; ++i) {
#pragma unroll
    for (int slot = 0; slot < kSlots; ++slot) {
      const int first = lane.first_element(slot);
      to[i][slot] = load_any_chunk<kDType>(whole, from + i * step + first, elements[i] - first);
    }
  }
}

template <DType kDType, int kRows, int kSlots>
QKJIT_DEVICE void store_any_rows(bool whole, const AnyLane& lane,
                                 const AnyRows<typename Format<kDType>::Storage, kRows>& rows,
                                 const float (&y)[kRows][kSlots][kChunk]) {
#pragma unroll
  for (int i = 0; i < kRows; ++i) {
#pragma unroll
    for (int slot = 0; slot < kSlots; ++slot) {
      const int first = lane.first_element(slot), count = rows.elements[i] - first;
      auto* const to = rows.out + i * rows.out_step + first;
      if (whole) {
        if (count > 0) Chunk<kDType>::pack(y[i][slot]).store(to, Hint::streaming);
      } else {
#pragma unroll
        for (int j = 0; j < kChunk; ++j) {
          if (j < count) to[j] = Format<kDType>::store(y[i][slot][j]);
        }
      }
    }
  }
}

/// Rows of V, bit by bit.
template <DType kDType, int kRows, int kSlots>
QKJIT_DEVICE void copy_any_rows(bool whole, const AnyLane& lane,
                                const AnyRows<typename Format<kDType>::Storage, kRows>& rows) {
#pragma unroll
  for (int i = 0; i < kRows; ++i) {
#pragma unroll
    for (int slot = 0; slot < kSlots; ++slot) {
      const int first = lane.first_element(slot), count = rows.elements[i] - first;
      const auto* const from = rows.in + i * rows.in_step + first;
      auto* const to = rows.out + i * rows.out_step + first;
      if (whole) {
        if (count > 0) Chunk<kDType>::load(from).store(to, Hint::streaming);
      } else {
#pragma unroll
        for (int j = 0; j < kChunk; ++j) {
          if (j < count) to[j] = from[j];
        }
      }
    }
  }
}

}  // namespace qkjit
