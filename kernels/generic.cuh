// The generic kernel: any head_dim up to 1024, any alignment, all shapes at run time. It is
// compiled to PTX when the library is built, so it serves with no compiler and no cache. A group of
// lanes owns a row, or two, of a token's q or k, and lane l has chunks l, l + lanes, ... of each.
// What depends on the shape is decided once for all that a lane has, and mostly on the host.
#pragma once

#include "generic_rows.cuh"
#include "norm.cuh"
#include "rope.cuh"

namespace qkjit {

/// What a lane's chunks are rotated by, the same for all of its rows.
template <int kSlots>
using AnyAngles = ChunkAngles[kSlots];
/// The lane's chunks of its rows, in fp32. Past a row's end they are zero, which pads the sum.
template <int kSlots>
using AnyValues = float[generic_rows(kSlots)][kSlots][kChunk];

/// One mode for a whole chunk, so that the choice is made once for all of its elements. `vectors`
/// are the chunk's weights, and its biases if there are any.
template <DType kDType, class... Vectors>
QKJIT_DEVICE void normalize_any_chunk(Rounding rounding, float (&x)[kChunk], float r,
                                      const Vectors&... vectors) {
  if (rounding == Rounding::fused) {
    normalize_chunk<kDType>(Rounding::fused, x, r, vectors...);
  } else if (rounding == Rounding::hf) {
    normalize_chunk<kDType>(Rounding::hf, x, r, vectors...);
  } else if (rounding == Rounding::late_weight) {
    normalize_chunk<kDType>(Rounding::late_weight, x, r, vectors...);
  } else {  // eager differs in the rotation only
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
  }
  if (norm == Norm::layer) {
#pragma unroll
    for (int i = 0; i < kRows; ++i) centre_row(r[i], inv, elements(i), y[i]);
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
#pragma unroll
    for (int i = 0; i < kChunk; ++i) w[i] = effective_weight(spec.weight, w[i]);
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

/// What is wanted early of the angles: pairs that are exchanged load theirs when it is their turn.
template <int kSlots>
QKJIT_DEVICE void load_any_angles(const GenericParams& g, const AnyLane& lane,
                                  const TableRow& table, AnyAngles<kSlots>& angles) {
  if (g.spec.layout == Layout::interleaved) {
#pragma unroll
    for (int slot = 0; slot < kSlots; ++slot) {
      load_interleaved(table, lane.first_element(slot), angles[slot]);
    }
  } else if (kSlots == 1 && g.pairing == Pairing::shuffle) {
    load_exchanged(table, lane.first_element(0), angles[0]);
  } else if (kSlots == 2 && g.pairing == Pairing::in_lane) {
    load_neox(table, lane.first_element(0), angles[0]);
  }
}

/// Calls rotate(end, first) for the chunk that begins with `first`, of which the elements below
/// `end` are rotated: with constants if these are all, so that none needs to be tested.
template <class Rotate>
QKJIT_DEVICE void rotate_part(int end, int first, Rotate rotate) {
  if (first + kChunk <= end) {
    rotate(kChunk, 0);
  } else if (first < end) {
    rotate(end, first);
  }
}

/// Interleaved pairs.
template <DType kDType, int kSlots>
QKJIT_DEVICE void rotate_any_interleaved(Rounding rounding, int rope_dim, const AnyLane& lane,
                                         const AnyAngles<kSlots>& angles, AnyValues<kSlots>& y) {
#pragma unroll
  for (int slot = 0; slot < kSlots; ++slot) {
    rotate_part(rope_dim, lane.first_element(slot), [&](int end, int first) {
#pragma unroll
      for (int i = 0; i < generic_rows(kSlots); ++i) {
        rotate_interleaved<kDType>(rounding, end, first, angles[slot], y[i][slot]);
      }
    });
  }
}

/// Neox pairs of rows with one chunk a lane and a rotated part of whole chunks, with kShift the
/// half modulo a chunk.
template <DType kDType, int kShift, int kRows>
QKJIT_DEVICE void shuffle_any_rows(Rounding rounding, int rope_dim, const AnyLane& lane,
                                   const ChunkAngles& angles, float (&y)[kRows][1][kChunk]) {
  const auto partners =
      PartnerLanes::of(rope_dim / 2, lane.in.in_group, static_cast<int>(threadIdx.x % 32));
  float partner[kRows][kChunk];
#pragma unroll
  for (int i = 0; i < kRows; ++i) ask_partners<kShift>(partners, y[i][0], partner[i]);
  if (lane.first_element(0) >= rope_dim) return;
#pragma unroll
  for (int i = 0; i < kRows; ++i) {
    rotate_elements<kDType>(rounding, kChunk, 0, angles, partner[i], y[i][0]);
  }
}

/// The rotated part of the rows, with pairs that lanes have or get by shuffles.
template <DType kDType, int kSlots>
QKJIT_DEVICE void rotate_any_pairs(Rounding rounding, const GenericParams& g, const AnyLane& lane,
                                   const AnyAngles<kSlots>& angles, AnyValues<kSlots>& y) {
  const int rope_dim = g.spec.rope_dim;
  if (g.spec.layout == Layout::interleaved) {
    rotate_any_interleaved<kDType, kSlots>(rounding, rope_dim, lane, angles, y);
  } else if constexpr (kSlots == 1) {
    rope_dim / 2 % kChunk == 0
        ? shuffle_any_rows<kDType, 0>(rounding, rope_dim, lane, angles[0], y)
        : shuffle_any_rows<kDType, kChunk / 2>(rounding, rope_dim, lane, angles[0], y);
  } else if constexpr (kSlots == 2) {
#pragma unroll
    for (int i = 0; i < generic_rows(kSlots); ++i) {
      rotate_neox<kDType>(rounding, angles[0], y[i][0], y[i][1]);
    }
  }
}

/// The same with neox pairs anywhere, row by row through shared memory of the warp.
template <DType kDType, int kSlots>
QKJIT_DEVICE void exchange_any_rows(bool eager, const TableRow& table, const AnyLane& lane,
                                    float* shown, AnyValues<kSlots>& y) {
  const int rope_dim = table.rope_dim;
  float* const row = shown + lane.group * lane.in.lanes * kSlots * kChunk;
#pragma unroll
  for (int i = 0; i < generic_rows(kSlots); ++i) {
    __syncwarp();  // the row before may still be read
#pragma unroll
    for (int slot = 0; slot < kSlots; ++slot) {
      const int first = lane.first_element(slot);
      if (first < rope_dim && !lane.is_left_over) show_chunk(y[i][slot], first, row);
    }
    __syncwarp();
#pragma unroll
    for (int slot = 0; slot < kSlots; ++slot) {
      float partner[kChunk] = {};
      ChunkAngles angles = {};
      load_exchanged(table, lane.first_element(slot), angles);
      read_partners(rope_dim, lane.first_element(slot), row, partner);
      rotate_part(rope_dim, lane.first_element(slot), [&](int end, int first) {
        eager ? rotate_elements<kDType>(Rounding::eager, end, first, angles, partner, y[i][slot])
              : rotate_elements<kDType>(Rounding::fused, end, first, angles, partner, y[i][slot]);
      });
    }
  }
}

template <DType kDType, int kSlots>
QKJIT_DEVICE void rotate_any_rows(const GenericParams& g, const TableRow& table,
                                  const AnyLane& lane, const AnyAngles<kSlots>& angles,
                                  float* shown, AnyValues<kSlots>& y) {
  const bool eager = g.spec.rounding == Rounding::eager;
  if (g.spec.layout == Layout::neox && g.pairing == Pairing::exchange) {
    exchange_any_rows<kDType, kSlots>(eager, table, lane, shown, y);
  } else if (eager) {
    rotate_any_pairs<kDType, kSlots>(Rounding::eager, g, lane, angles, y);
  } else {
    rotate_any_pairs<kDType, kSlots>(Rounding::fused, g, lane, angles, y);
  }
}

template <DType kDType, int kSlots, Forms kForms>
static QKJIT_DEVICE void generic(const GenericParams& g) {
  using Storage = typename Format<kDType>::Storage;
  constexpr int kRows = generic_rows(kSlots), kWarps = kGenericThreads / 32;
  alignas(16) __shared__ float shown[kWarps][32 * kSlots * kChunk];
  const unsigned warp = threadIdx.x / 32;
  const unsigned index = (blockIdx.x * kWarps + warp) * g.groups.per_warp;
  if (index >= g.slices.count) return;  // whole warps leave
  const Spec spec = kForms == Forms::common ? common_form(g.spec) : g.spec;
  AnyLane lane = AnyLane::of(g.groups);
  const auto rows = AnyRows<Storage, kRows>::of(g, index + lane.group, lane.is_left_over);

  AnyChunks<kDType, kRows, kSlots> stored;
  if (g.whole_rows) {  // once for all chunks, so that none waits for another
    load_any_rows<kDType, kRows, kSlots>(true, lane, rows.in, rows.in_step, rows.elements, stored);
  } else {
    load_any_rows<kDType, kRows, kSlots>(false, lane, rows.in, rows.in_step, rows.elements, stored);
  }
  const Norm norm = rows.is_q ? spec.q_norm : spec.k_norm;
  AnyChunks<kDType, 1, kSlots> weight = {};
  if (has_weight(spec, norm) && dtype_of_weights(spec) == kDType) {
    load_any_rows<kDType, 1, kSlots>(g.whole_rows, lane, static_cast<const Storage*>(rows.weight),
                                     0, {g.spec.head_dim}, weight);
  }
  TableRow table{nullptr, g.spec.rope_dim, g.wide_table};
  AnyAngles<kSlots> angles = {};
  if (table.rope_dim > 0) {
    table.cosines = find_angles(g.common, g.spec.positions, table.rope_dim, rows.token);
    load_any_angles<kSlots>(g, lane, table, angles);
  }

  AnyValues<kSlots> y;
#pragma unroll
  for (int i = 0; i < kRows; ++i) {
#pragma unroll
    for (int slot = 0; slot < kSlots; ++slot) stored[i][slot].unpack(y[i][slot]);
  }
  const auto normalize = [&] {
    if (!has_norm(spec)) return;
    normalize_any_rows<kDType, kSlots>(spec, g.inv_head_dim, g.common.eps, lane, rows, norm, weight,
                                       y);
  };
  const auto rotate = [&] {
    if (spec.rope_dim > 0) rotate_any_rows<kDType, kSlots>(g, table, lane, angles, shown[warp], y);
  };
  if constexpr (kForms == Forms::common) {
    normalize();
    rotate();
  } else {
    const bool norm_first = spec.norm_order == NormOrder::before;
#pragma unroll 1  // in either order, but each once in the code
    for (int step = 0; step < 2; ++step) {
      stay_in_loop(lane.in.in_group);
      if ((step == 0) == norm_first) {
        normalize();
      } else {
        rotate();
      }
    }
  }
  store_any_rows<kDType, kRows, kSlots>(g.whole_rows, lane, rows, y);
}

}  // namespace qkjit
