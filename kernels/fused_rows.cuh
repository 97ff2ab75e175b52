// A row in the fused kernel: what its slice shares, its norm, its rotation, and how they follow one
// another.
#pragma once

#include "butterfly.cuh"
#include "norm.cuh"
#include "output_rows.cuh"
#include "rope.cuh"
#include "rows.cuh"
#include "sequence.cuh"
#include "shared_phases.cuh"
#include "staging.cuh"

namespace qkjit {

/// Every lane gets its row's sum of the sums of its chunks. Chunks are farthest apart in different
/// runs of lanes, whose steps come first; then a run is a group as any.
template <class T>
QKJIT_DEVICE float sum_row(float (&chunks)[1][T::kSlots], const Lane<T>& lane) {
  float sums[1];
#pragma unroll
  for (int d = T::kLanes / 2; d >= T::kRun; d /= 2) {
#pragma unroll
    for (float& sum : chunks[0]) sum = add_rn(sum, __shfl_xor_sync(kWholeWarp, sum, d));
  }
  constexpr int kPower = next_power_of_two(T::kRun);
  if constexpr (T::kRun == kPower) {
    add_even_chunks(T::kRun, chunks, sums);
  } else {
    const auto in_run = static_cast<int>(lane.in_group % T::kRun);
    const int first = static_cast<int>(lane.in_warp) - in_run;
    add_odd_lanes(GroupLane{T::kRun, kPower / 2, first, in_run}, chunks, sums);
  }
  return sums[0];
}

/// Whether the chunk in a slot, which begins with element `first` of the rotated part, has its neox
/// partners in the same lane, kNeoxSlots on. Runs of lanes that are not rotated have none.
template <Spec kSpec, class T>
QKJIT_DEVICE bool has_neox_pairs(int slot, int first) {
  constexpr auto kHalf = static_cast<unsigned>(kSpec.rope_dim / 2);
  return T::kNeoxBegin <= slot && slot < T::kNeoxBegin + T::kNeoxSlots &&
         static_cast<unsigned>(first) < kHalf;
}

/// What a token's angles are loaded from, or computed from.
template <Spec kSpec>
QKJIT_DEVICE auto find_source(const Params& p, const FrequenciesOf<kSpec>* frequencies,
                              unsigned token) {
  using Form = FixedForm<TableForm::of(kSpec)>;
  if constexpr (kSpec.angles == Angles::computed) {
    return find_phases(p, *frequencies, kSpec.positions, Form{}, token);
  } else if constexpr (kSpec.rope_dim > 0) {
    return find_angles(p, kSpec.positions, kSpec.bounds, Form{}, true, token);
  } else {
    return TableRows<Form>{};
  }
}

/// What every row of a slice shares: the weights and biases of its norm, and the token's angles.
/// Where heads have tables of their own, the angles are those of the row that is next.
template <Spec kSpec, class T>
struct SliceConstants {
  float weight[T::kSlots][kChunk] = {}, bias[T::kSlots][kChunk] = {};
  ChunkAngles angles[T::kSlots] = {};
  /// Where each head has a table: the first one's rows, and bytes from head to head.
  TableRows<FixedForm<TableForm::of(kSpec)>> tables = {};
  long long table_stride = 0;

  QKJIT_DEVICE void load(const Params& p, const FrequenciesOf<kSpec>* frequencies, const Rows& rows,
                         Norm kind, unsigned token, const Lane<T>& lane) {
    constexpr int kBegin = rotated_begin(kSpec);
    const auto table = find_source<kSpec>(p, frequencies, token);
    if constexpr (shares_angles(kSpec)) share_angles(table, lane);
    if constexpr (has_head_tables(kSpec)) tables = table, table_stride = p.table_head_stride;
#pragma unroll
    for (int slot = 0; slot < T::kSlots; ++slot) {
      const int first = lane.first_element(slot);
      if (first >= kSpec.head_dim) continue;
      const auto load = [&](const void* from, float(&to)[kChunk]) {
        using W = Chunk<dtype_of_weights(kSpec)>;
        W::load(static_cast<const typename W::Storage*>(from) + first).unpack(to);
      };
      if (has_weight(kSpec, kind)) load(rows.weight, weight[slot]);
      if (has_bias(kSpec, kind)) load(rows.bias, bias[slot]);
      make_effective(kSpec.weight, weight[slot]);
      if constexpr (shares_angles(kSpec) || has_head_tables(kSpec)) continue;
      load_slot(table, slot, first - kBegin);
    }
  }

  /// The angles of a head with a table of its own.
  QKJIT_DEVICE void load_head(unsigned head, const Lane<T>& lane) {
    const auto table = table_of_head(tables, table_stride, head);
#pragma unroll
    for (int slot = 0; slot < T::kSlots; ++slot) {
      const int first = lane.first_element(slot);
      if (first < kSpec.head_dim) load_slot(table, slot, first - rotated_begin(kSpec));
    }
  }

  /// Those of the chunk in a slot, which begins with element `first` of the rotated part.
  template <class Source>
  QKJIT_DEVICE void load_slot(const Source& table, int slot, int first) {
    if constexpr (kSpec.layout == Layout::interleaved) {
      load_interleaved(table, first, angles[slot]);
    } else if constexpr (T::pairing() != Pairing::in_lane) {
      load_exchanged(table, first, angles[slot]);
    } else if (has_neox_pairs<kSpec, T>(slot, first)) {
      load_neox(table, first, angles[slot]);
    }
  }

  template <class Form>
  QKJIT_DEVICE void share_angles(const TokenPhases<Form>& phases, const Lane<T>& lane) {
    using Shared = SharedAngles<share_of_angles(kSpec), Form>;
    const Shared shared = Shared::of(phases, lane.in_warp);
#pragma unroll
    for (int slot = 0; slot < T::kSlots; ++slot) {
      const int first = lane.first_element(slot) - rotated_begin(kSpec);
      if constexpr (kSpec.layout == Layout::interleaved) {
        shared.load_interleaved(first, angles[slot]);
      } else if constexpr (T::pairing() != Pairing::in_lane) {
        shared.load_exchanged(first, angles[slot]);
      } else if (T::kNeoxBegin <= slot && slot < T::kNeoxBegin + T::kNeoxSlots) {
        shared.load_neox(first, angles[slot]);
      }
    }
  }
};

template <Spec kSpec, class T>
static QKJIT_DEVICE void rotate_row(LaneRow<T>& y, const SliceConstants<kSpec, T>& constants,
                                    const Lane<T>& lane) {
  constexpr Rounding kRounding = kSpec.rounding;
  constexpr int kBegin = rotated_begin(kSpec);
  // Beyond the head's end there is nothing to spare from the rotation.
  constexpr bool kEndsInside = kBegin + kSpec.rope_dim < kSpec.head_dim;
  constexpr int kRotated = kEndsInside ? kSpec.rope_dim : 32 * 32 * kChunk;
  const ChunkAngles* angles = constants.angles;
  if constexpr (kSpec.layout == Layout::interleaved) {
#pragma unroll
    for (int slot = 0; slot < T::kSlots; ++slot) {
      rotate_interleaved<kSpec.dtype>(kRounding, kRotated, lane.first_element(slot) - kBegin,
                                      angles[slot], y[slot]);
    }
  } else if constexpr (T::pairing() == Pairing::in_lane) {
#pragma unroll
    for (int slot = T::kNeoxBegin; slot < T::kNeoxBegin + T::kNeoxSlots; ++slot) {
      if (!has_neox_pairs<kSpec, T>(slot, lane.first_element(slot) - kBegin)) continue;
      rotate_neox<kSpec.dtype>(kRounding, angles[slot], y[slot], y[slot + T::kNeoxSlots]);
    }
  } else if constexpr (T::pairing() == Pairing::shuffle) {
    const int chunk = static_cast<int>(lane.in_group) - kBegin / kChunk;
    const auto partners =
        PartnerLanes::of(kSpec.rope_dim / 2, chunk, static_cast<int>(lane.in_warp));
    rotate_by_shuffle<kSpec.dtype, kSpec.rope_dim / 2 % kChunk>(kRounding, kRotated, chunk * kChunk,
                                                                angles[0], partners, y[0]);
  } else {
    alignas(16) __shared__ float shown[T::kWarps * T::kGroupsPerWarp][T::kChunks * kChunk];
    float* row = shown[threadIdx.x / 32 * T::kGroupsPerWarp + lane.group];
    __syncwarp();  // the row before may still be read
#pragma unroll
    for (int slot = 0; slot < T::kSlots; ++slot) {
      const int first = lane.first_element(slot) - kBegin;
      const bool rotates = 0 <= first && first < kSpec.rope_dim;
      if (rotates && !lane.is_left_over) show_chunk(y[slot], first, row);
    }
    __syncwarp();
#pragma unroll
    for (int slot = 0; slot < T::kSlots; ++slot) {
      rotate_exchanged<kSpec.dtype>(kRounding, kSpec.rope_dim, lane.first_element(slot) - kBegin,
                                    angles[slot], row, y[slot]);
    }
  }
}

/// The norm of a row whose reciprocal rms is known.
template <Spec kSpec, Norm kNorm, class T>
static QKJIT_DEVICE void scale_row(LaneRow<T>& y, const SliceConstants<kSpec, T>& constants,
                                   float r) {
#pragma unroll
  for (int slot = 0; slot < T::kSlots; ++slot) {
    const float(&w)[kChunk] = constants.weight[slot];
    if constexpr (has_bias(kSpec, kNorm)) {
      normalize_chunk<kSpec.dtype>(kSpec.rounding, y[slot], r, w, constants.bias[slot]);
    } else {
      normalize_chunk<kSpec.dtype>(kSpec.rounding, y[slot], r, w);
    }
  }
}

template <Spec kSpec, Norm kNorm, class T>
static QKJIT_DEVICE void normalize_row(LaneRow<T>& y, const SliceConstants<kSpec, T>& constants,
                                       float eps, const Lane<T>& lane) {
  if constexpr (kNorm == Norm::none) return;
  const auto elements = [&](int slot) {
    return lane.first_element(slot) < kSpec.head_dim ? kChunk : 0;
  };
  if constexpr (kSpec.norm_order == NormOrder::after) {
    hand_over_row<kSpec.dtype>(kSpec.rounding, elements, y);
  }
  float chunks[1][T::kSlots];
  if constexpr (kNorm == Norm::layer) {
    sum_chunks(y, chunks[0]);
    centre_row(sum_row<T>(chunks, lane), T::inv_head_dim(), elements, y);
  }
  square_chunks(y, chunks[0]);
  const float r = reciprocal_rms(sum_row<T>(chunks, lane), T::inv_head_dim(), eps);
  scale_row<kSpec, kNorm, T>(y, constants, r);
}

/// Normalises, rotates and stores the rows of a slice, which begins with `head` and whose loads
/// have begun: where they are staged for, or to other outputs.
template <Spec kSpec, Norm kNorm, class Staged, class Destination>
static QKJIT_DEVICE void run_rows(const Staged& staged, const Destination& outputs, const Params& p,
                                  const FrequenciesOf<kSpec>* frequencies, const Rows& rows,
                                  unsigned token, unsigned head,
                                  const Lane<typename Staged::T>& lane) {
  using T = typename Staged::T;
  SliceConstants<kSpec, T> constants;
  constants.load(p, frequencies, rows, kNorm, token, lane);
  staged.wait();
#pragma unroll
  for (int i = 0; i < T::kRows; ++i) {
    if constexpr (has_head_tables(kSpec)) {
      const unsigned own = head + lane.row(i);
      if (own < rows.heads) constants.load_head(own, lane);
    }
    LaneRow<T> y = {};
#pragma unroll
    for (int slot = 0; slot < T::kSlots; ++slot) {
      if (lane.first_element(slot) < kSpec.head_dim) staged.get(i, slot).unpack(y[slot]);
    }
    constexpr bool kNormFirst = kSpec.norm_order == NormOrder::before;
    if constexpr (kNormFirst) normalize_row<kSpec, kNorm, T>(y, constants, p.eps, lane);
    if constexpr (kSpec.rope_dim > 0) rotate_row<kSpec, T>(y, constants, lane);
    if constexpr (!kNormFirst) normalize_row<kSpec, kNorm, T>(y, constants, p.eps, lane);
    if constexpr (has_other_outputs(kSpec)) {
      outputs.put(i, y);
    } else {
#pragma unroll
      for (int slot = 0; slot < T::kSlots; ++slot) {
        if (lane.first_element(slot) >= kSpec.head_dim) continue;
        staged.put(i, slot, Chunk<kSpec.dtype>::pack(y[slot]));
      }
    }
  }
  staged.finish();
}

/// run_rows() with the norm of the tensor that the slice is of, which its whole warp shares.
template <Spec kSpec, class Staged, class Destination>
static QKJIT_DEVICE void run_rows_of(bool is_q, const Staged& staged, const Destination& outputs,
                                     const Params& p, const FrequenciesOf<kSpec>* frequencies,
                                     const Rows& rows, unsigned token, unsigned head,
                                     const Lane<typename Staged::T>& lane) {
  if (is_q || kSpec.q_norm == kSpec.k_norm) {  // the latter is a constant
    run_rows<kSpec, kSpec.q_norm>(staged, outputs, p, frequencies, rows, token, head, lane);
  } else {
    run_rows<kSpec, kSpec.k_norm>(staged, outputs, p, frequencies, rows, token, head, lane);
  }
}

}  // namespace qkjit
