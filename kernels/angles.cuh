// A chunk's cosines and sines, from the table to registers: in wide accesses where the table's form
// allows it. Elements are numbered from the first rotated one.
#pragma once

#include "memory.cuh"
#include "table.cuh"

namespace qkjit {

/// What a chunk is rotated by. Interleaved: its four pairs, in the first half. Neox: its eight
/// elements; where they meet their partners by exchange, with the sign of rotate_element.
struct ChunkAngles {
  float c[kChunk], s[kChunk];
};

/// Neighbouring values of a table, from a boundary of as many bytes, 16 at most.
template <DType kDType, int kCount>
QKJIT_DEVICE void load_values(const typename Format<kDType>::Storage* from, float* to) {
  if constexpr (kDType == DType::fp32) {
    load_floats<kCount>(from, to);
  } else if constexpr (kCount == 4) {
    const uint2 pairs = *reinterpret_cast<const uint2*>(from);
    using F = Format<kDType>;
    to[0] = F::load(static_cast<unsigned short>(pairs.x));
    to[1] = F::load(static_cast<unsigned short>(pairs.x >> 16));
    to[2] = F::load(static_cast<unsigned short>(pairs.y));
    to[3] = F::load(static_cast<unsigned short>(pairs.y >> 16));
  } else {
#pragma unroll
    for (int i = 0; i < kCount; i += kChunk) {
      float values[kChunk];
      Chunk<kDType>::load(from + i).unpack(values);
#pragma unroll
      for (int j = 0; j < kChunk; ++j) to[i + j] = values[j];
    }
  }
}

template <DType kDType, int kCount>
QKJIT_DEVICE void load_row_part(int step, const char* row, int angle, float* to) {
  const auto* from = reinterpret_cast<const typename Format<kDType>::Storage*>(row) + angle * step;
  if (step == 1) return load_values<kDType, kCount>(from, to);
  float twice[2 * kCount];
  load_values<kDType, 2 * kCount>(from, twice);
#pragma unroll
  for (int i = 0; i < kCount; ++i) to[i] = twice[2 * i];
}

/// The kCount angles from number `angle` on, a multiple of kCount: 4, or 8 of one axis.
template <int kCount, class Form>
QKJIT_DEVICE void load_angles(const TableRows<Form>& table, int angle, float* c, float* s) {
  const long long row = table.row_of(angle);
  load_row_part<Form::dtype, kCount>(table.form.step, table.cosines + row, angle, c);
  load_row_part<Form::dtype, kCount>(table.form.step, table.sines + row, angle, s);
}

// `Source` is TableRows, or what stands for it where angles are computed (phases.cuh).

/// Pairs (2i, 2i+1): both elements are neighbours in the chunk that begins with element `first`.
template <class Source>
QKJIT_DEVICE void load_interleaved(const Source& table, int first, ChunkAngles& a) {
  const int rope_dim = table.form.rope_dim;
  if (table.wide && table.form.has_quads()) {
    if (0 <= first && first < rope_dim) load_angles<kChunk / 2>(table, first / 2, a.c, a.s);
    return;
  }
#pragma unroll
  for (int i = 0; i < kChunk / 2; ++i) {  // the rotated part may end inside the chunk
    const int element = first + 2 * i;
    if (element < 0 || element >= rope_dim) continue;
    a.c[i] = table.cosine(element / 2), a.s[i] = table.sine(element / 2);
  }
}

/// Pairs (i, i + rope_dim/2) whose chunks, the one that begins with `first` < rope_dim/2 and its
/// partner, lie in the same lane. rope_dim is a multiple of 16.
template <class Source>
QKJIT_DEVICE void load_neox(const Source& table, int first, ChunkAngles& a) {
  if (table.wide && table.form.axes() == 1) return load_angles<kChunk>(table, first, a.c, a.s);
  if (table.wide && table.form.has_quads()) {
    load_angles<4>(table, first, a.c, a.s);
    return load_angles<4>(table, first + 4, a.c + 4, a.s + 4);
  }
#pragma unroll
  for (int i = 0; i < kChunk; ++i) {
    a.c[i] = table.cosine(first + i), a.s[i] = table.sine(first + i);
  }
}

/// Pairs (i, i + rope_dim/2) anywhere in the row. Quads of elements stay together if halves are
/// whole quads.
template <class Source>
QKJIT_DEVICE void load_exchanged(const Source& table, int first, ChunkAngles& a) {
  const int rope_dim = table.form.rope_dim, half = rope_dim / 2;
  const bool quads = table.wide && table.form.has_quads();
#pragma unroll
  for (int i = 0; i < kChunk; i += 4) {
    const int element = first + i;
    if (quads) {
      if (element < 0 || element >= rope_dim) continue;
      const bool is_first = element < half;
      load_angles<4>(table, table.form.angle_of(element), a.c + i, a.s + i);
#pragma unroll
      for (int j = i; j < i + 4; ++j) a.s[j] = is_first ? -a.s[j] : a.s[j];
    } else {
#pragma unroll
      for (int j = i; j < i + 4; ++j) {
        if (first + j < 0 || first + j >= rope_dim) continue;
        const bool is_first = first + j < half;
        const int angle = table.form.angle_of(first + j);
        a.c[j] = table.cosine(angle);
        a.s[j] = is_first ? -table.sine(angle) : table.sine(angle);
      }
    }
  }
}

}  // namespace qkjit
