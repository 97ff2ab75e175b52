// The generic kernel: any head_dim up to 1024, any alignment, all shapes at run time. It is
// compiled to PTX when the library is built, so it serves with no compiler and no cache. A group of
// lanes owns a row, or two, of a token's q or k, and lane l has chunks l, l + lanes, ... of each.
// What depends on the shape is decided once for all that a lane has, and mostly on the host.
#pragma once

#include "generic_norm.cuh"
#include "rope.cuh"

namespace qkjit {

/// What a lane's chunks are rotated by, the same for all of its rows.
template <int kSlots>
using AnyAngles = ChunkAngles[kSlots];

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
