// Where the rows of a slice wait between memory and arithmetic: in registers or in shared memory.
// Both classes begin all loads when they are made, and give and take chunks by row and slot. What
// they give for rows that the slice has not is anything, and nothing is stored of those.
#pragma once

#include "bulk.cuh"
#include "lane.cuh"
#include "memory.cuh"
#include "rows.cuh"

namespace qkjit {

/// Neighbouring heads of one token in device memory; strides count elements.
template <class Storage>
struct SliceView {
  const Storage* in;
  Storage* out;
  long long in_stride, out_stride;
  unsigned rows;
};

/// The slice of at most `most` rows that begins with `head`, at most the number of heads.
template <class Storage>
QKJIT_DEVICE SliceView<Storage> view_slice(const Rows& rows, unsigned token, unsigned head,
                                           unsigned most) {
  const RowView row{rows, token, head};
  const unsigned left = rows.heads - head;
  return {static_cast<const Storage*>(rows.in) + row.in_offset(),
          static_cast<Storage*>(rows.out) + row.out_offset(), rows.in_head_stride,
          rows.out_head_stride, left < most ? left : most};
}

/// The lane's chunks of a slice, as far as there are such rows.
template <Spec kSpec, Variant kVariant, class Storage, class T>
QKJIT_DEVICE void load_slice(const SliceView<Storage>& view, const Lane<T>& lane,
                             Chunk<kSpec.dtype> (&to)[T::kRows][T::kSlots]) {
#pragma unroll
  for (int i = 0; i < T::kRows; ++i) {
#pragma unroll
    for (int slot = 0; slot < T::kSlots; ++slot) {
      const int first = lane.first_element(slot);
      if (!lane.has_row(i, view.rows) || first >= kSpec.head_dim) continue;
      to[i][slot] =
          Chunk<kSpec.dtype>::load(view.in + lane.row(i) * view.in_stride + first, kVariant.load);
    }
  }
}

/// Stores a chunk of the lane's i-th row, if the slice has so many.
template <Spec kSpec, Variant kVariant, class Storage, class T>
QKJIT_DEVICE void store_row_chunk(const SliceView<Storage>& view, const Lane<T>& lane, int i,
                                  int slot, const Chunk<kSpec.dtype>& chunk) {
  if (!lane.has_row(i, view.rows)) return;
  chunk.store(view.out + lane.row(i) * view.out_stride + lane.first_element(slot), kVariant.store);
}

template <Spec kSpec, Variant kVariant>
class RowsInRegisters {
 public:
  using T = Tile<kSpec, kVariant>;
  using Storage = typename Format<kSpec.dtype>::Storage;

  QKJIT_DEVICE RowsInRegisters(const SliceView<Storage>& view, const Lane<T>& lane)
      : view_(view), lane_(lane) {
    load_slice<kSpec, kVariant>(view, lane, held_);
  }

  QKJIT_DEVICE void wait() const {}
  QKJIT_DEVICE Chunk<kSpec.dtype> get(int i, int slot) const { return held_[i][slot]; }
  QKJIT_DEVICE void put(int i, int slot, const Chunk<kSpec.dtype>& chunk) const {
    store_row_chunk<kSpec, kVariant>(view_, lane_, i, slot, chunk);
  }
  QKJIT_DEVICE void finish() const {}

 private:
  const SliceView<Storage>& view_;
  const Lane<T>& lane_;
  Chunk<kSpec.dtype> held_[T::kRows][T::kSlots] = {};
};

/// The rows of the slice follow one another without gaps in device memory and in `buffer`.
template <Spec kSpec, Variant kVariant>
class RowsInShared {
 public:
  using T = Tile<kSpec, kVariant>;
  using Storage = typename Format<kSpec.dtype>::Storage;

  QKJIT_DEVICE RowsInShared(const SliceView<Storage>& view, const Lane<T>& lane, Storage* buffer,
                            unsigned long long* barrier)
      : view_(view),
        lane_(lane),
        buffer_(buffer),
        load_(barrier, buffer, view.in, view.rows * T::kRowBytes) {}

  QKJIT_DEVICE void wait() const { load_.wait(); }
  QKJIT_DEVICE Chunk<kSpec.dtype> get(int i, int slot) const {
    return Chunk<kSpec.dtype>::load(cell(i, slot));
  }
  QKJIT_DEVICE void put(int i, int slot, const Chunk<kSpec.dtype>& chunk) const {
    if constexpr (kVariant.staging == Staging::bulk) {
      if (!lane_.is_left_over) chunk.store(cell(i, slot));  // there is room for rows that are not
    } else {
      store_row_chunk<kSpec, kVariant>(view_, lane_, i, slot, chunk);
    }
  }
  QKJIT_DEVICE void finish() const {
    if constexpr (kVariant.staging == Staging::bulk) {
      bulk_store(view_.out, buffer_, view_.rows * T::kRowBytes);
    }
  }

 private:
  QKJIT_DEVICE Storage* cell(int i, int slot) const {
    return buffer_ + lane_.row(i) * kSpec.head_dim + lane_.first_element(slot);
  }

  const SliceView<Storage>& view_;
  const Lane<T>& lane_;
  Storage* buffer_;
  BulkLoad load_;
};

}  // namespace qkjit
