// The generic kernel: any head_dim up to 1024, any alignment, all shapes at run time. It is
// compiled to PTX when the library is built, so it serves with no compiler and no cache. A group of
// lanes owns a row, or two, of a token's q or k, and lane l has chunks l, l + lanes, ... of each.
// What depends on the shape is decided once for all that a lane has, and mostly on the host.
#pragma once

#include "generic_norm.cuh"
#include "generic_outputs.cuh"
#include "phases.cuh"
#include "rope.cuh"

namespace qkjit {

/// What a lane's chunks are rotated by, the same for all of its rows.
template <int kSlots>
using AnyAngles = ChunkAngles[kSlots];

/// What a token's angles are found by, and its number there: in sequences of their own too.
struct AnyPlace {
  Params params;
  unsigned number;
};
template <Forms kForms>
QKJIT_DEVICE AnyPlace find_place(const GenericParams& g, AnyToken token) {
  if (kForms == Forms::common || g.spec.batch == Batch::folded) return {g.common, token.number};
  const TokenOfSequence in = find_in_sequence(g.batches, token.number);
  const Sequences& of = token.is_q ? g.batches.q : g.batches.k;
  // Of a tensor with fewer tokens there are no more positions.
  return {positions_of_sequence(g.common, g.spec.positions, g.batches, of, in.sequence),
          in.token < of.tokens ? in.token : of.tokens - 1};
}

/// A token's angles in a table of that form.
template <Forms kForms, class Form>
QKJIT_DEVICE TableRows<Form> find_angles_of(const GenericParams& g, AnyToken token,
                                            const Form& form, bool wide) {
  const AnyPlace place = find_place<kForms>(g, token);
  return find_angles<kForms == Forms::common>(place.params, g.spec.positions, g.spec.bounds, form,
                                              wide, place.number);
}

/// The table in its own form.
QKJIT_DEVICE TableRows<TableForm> find_any_angles(const GenericParams& g, AnyToken token) {
  return find_angles_of<Forms::all>(g, token, TableForm::of(g.spec), false);
}

/// A table with the defaults of Spec, of whatever rope_dim.
struct PlainForm : TableForm {
  static constexpr DType dtype = Spec{}.table;
  static QKJIT_CONSTEXPR PlainForm of(int rope_dim) {
    return {TableForm::of({.rope_dim = rope_dim})};
  }
};
using PlainRows = TableRows<PlainForm>;

/// The table as the plain form, of which constants are known and values asked for all at once.
template <Forms kForms>
QKJIT_DEVICE PlainRows find_plain_angles(const GenericParams& g, AnyToken token) {
  const auto form = PlainForm::of(g.spec.rope_dim);
  return find_angles_of<kForms>(g, token, form, g.wide_table);
}

/// What kernels for a form have of a token's angles from the start: their table as the plain form,
/// or what computes them, whatever the form.
template <Forms kForms>
struct AnySource {
  using Type = PlainRows;
  static QKJIT_DEVICE Type find(const GenericParams& g, const AllFrequencies*, AnyToken token) {
    return find_plain_angles<kForms>(g, token);
  }
};
template <>
struct AnySource<Forms::computed> {
  using Type = TokenPhases<TableForm>;
  static QKJIT_DEVICE Type find(const GenericParams& g, const AllFrequencies* frequencies,
                                AnyToken token) {
    const AnyPlace place = find_place<Forms::computed>(g, token);
    return find_phases(place.params, *frequencies, g.spec.positions, TableForm::of(g.spec),
                       place.number);
  }
};

/// A chunk's angles from a table of any form, or computed, one after the other: `first` is the
/// chunk's first element. In a loop, since unrolled this would be most of the kernel.
template <class Source>
QKJIT_DEVICE void load_any_form(const GenericParams& g, const Source& table, int first,
                                ChunkAngles& a) {
  const bool interleaved = g.spec.layout == Layout::interleaved;
  const bool exchanged = !interleaved && g.pairing != Pairing::in_lane;
  const int half = g.spec.rope_dim / 2;
  ChunkAngles found = {};
#pragma unroll 1
  for (int i = 0; i < (interleaved ? kChunk / 2 : kChunk); ++i) {
    const int element = interleaved ? first + 2 * i : first + i;
    if (element < 0 || element >= g.spec.rope_dim) continue;
    const int angle = interleaved ? element / 2 : table.form.angle_of(element);
    found.c[i] = table.cosine(angle);
    found.s[i] = exchanged && element < half ? -table.sine(angle) : table.sine(angle);
  }
  a = found;
}

/// The angles of pairs that are not exchanged: those load theirs when it is their turn.
template <int kSlots, Forms kForms, class Source>
QKJIT_DEVICE void load_any_angles(const GenericParams& g, const AnyLane& lane, const Source& plain,
                                  AnyToken token, AnyAngles<kSlots>& angles) {
  const int begin = rotated_begin(g.spec);
  if constexpr (kForms == Forms::computed) {
#pragma unroll
    for (int slot = 0; slot < kSlots; ++slot) {
      load_any_form(g, plain, lane.first_element(slot) - begin, angles[slot]);
    }
  } else if (kForms == Forms::all && !g.plain_table) {
    const TableRows table = find_any_angles(g, token);
#pragma unroll
    for (int slot = 0; slot < kSlots; ++slot) {
      load_any_form(g, table, lane.first_element(slot) - begin, angles[slot]);
    }
  } else if (g.spec.layout == Layout::interleaved) {
#pragma unroll
    for (int slot = 0; slot < kSlots; ++slot) {
      load_interleaved(plain, lane.first_element(slot) - begin, angles[slot]);
    }
  } else if (kSlots == 1 && g.pairing == Pairing::shuffle) {
    load_exchanged(plain, lane.first_element(0) - begin, angles[0]);
  } else if (kSlots == 2 && g.pairing == Pairing::in_lane) {
    load_neox(plain, lane.first_element(0), angles[0]);
  }
}

/// Calls rotate(end, first) for the chunk that begins with `first`, of which the elements below
/// `end` are rotated: with constants if these are all, so that none needs to be tested. Chunks
/// before the rotated part, whose `first` is negative, have none.
template <class Rotate>
QKJIT_DEVICE void rotate_part(int end, int first, Rotate rotate) {
  if (first < 0) return;
  if (first + kChunk <= end) {
    rotate(kChunk, 0);
  } else if (first < end) {
    rotate(end, first);
  }
}

/// Interleaved pairs.
template <DType kDType, int kSlots>
QKJIT_DEVICE void rotate_any_interleaved(Rounding rounding, const Spec& spec, const AnyLane& lane,
                                         const AnyAngles<kSlots>& angles, AnyValues<kSlots>& y) {
#pragma unroll
  for (int slot = 0; slot < kSlots; ++slot) {
    const int at = lane.first_element(slot) - rotated_begin(spec);
    rotate_part(spec.rope_dim, at, [&](int end, int first) {
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
QKJIT_DEVICE void shuffle_any_rows(Rounding rounding, const Spec& spec, const AnyLane& lane,
                                   const ChunkAngles& angles, float (&y)[kRows][1][kChunk]) {
  const int chunk = lane.in.in_group - rotated_begin(spec) / kChunk;
  const auto partners =
      PartnerLanes::of(spec.rope_dim / 2, chunk, static_cast<int>(threadIdx.x % 32));
  float partner[kRows][kChunk];
#pragma unroll
  for (int i = 0; i < kRows; ++i) ask_partners<kShift>(partners, y[i][0], partner[i]);
  if (chunk < 0 || chunk * kChunk >= spec.rope_dim) return;
#pragma unroll
  for (int i = 0; i < kRows; ++i) {
    rotate_elements<kDType>(rounding, kChunk, 0, angles, partner[i], y[i][0]);
  }
}

/// The rotated part of the rows, with pairs that lanes have or get by shuffles.
template <DType kDType, int kSlots>
QKJIT_DEVICE void rotate_any_pairs(Rounding rounding, const GenericParams& g, const AnyLane& lane,
                                   const AnyAngles<kSlots>& angles, AnyValues<kSlots>& y) {
  if (g.spec.layout == Layout::interleaved) {
    rotate_any_interleaved<kDType, kSlots>(rounding, g.spec, lane, angles, y);
  } else if constexpr (kSlots == 1) {
    g.spec.rope_dim / 2 % kChunk == 0
        ? shuffle_any_rows<kDType, 0>(rounding, g.spec, lane, angles[0], y)
        : shuffle_any_rows<kDType, kChunk / 2>(rounding, g.spec, lane, angles[0], y);
  } else if constexpr (kSlots == 2) {
#pragma unroll
    for (int i = 0; i < generic_rows(kSlots); ++i) {
      rotate_neox<kDType>(rounding, angles[0], y[i][0], y[i][1]);
    }
  }
}

/// The same with neox pairs anywhere, row by row through shared memory of the warp.
template <DType kDType, int kSlots, Forms kForms, class Source>
QKJIT_DEVICE void exchange_any_rows(const GenericParams& g, const AnyLane& lane,
                                    const Source& plain, AnyToken token, float* shown,
                                    AnyValues<kSlots>& y) {
  const int rope_dim = g.spec.rope_dim, begin = rotated_begin(g.spec);
  float* const row = shown + lane.group * lane.in.lanes * kSlots * kChunk;
#pragma unroll
  for (int i = 0; i < generic_rows(kSlots); ++i) {
    __syncwarp();  // the row before may still be read
#pragma unroll
    for (int slot = 0; slot < kSlots; ++slot) {
      const int first = lane.first_element(slot) - begin;
      if (0 <= first && first < rope_dim && !lane.is_left_over) show_chunk(y[i][slot], first, row);
    }
    __syncwarp();
#pragma unroll
    for (int slot = 0; slot < kSlots; ++slot) {
      const int at = lane.first_element(slot) - begin;
      float partner[kChunk] = {};
      ChunkAngles angles = {};
      if constexpr (kForms == Forms::computed) {
        load_any_form(g, plain, at, angles);
      } else if (kForms == Forms::common || g.plain_table) {
        load_exchanged(plain, at, angles);
      } else {
        load_any_form(g, find_any_angles(g, token), at, angles);
      }
      read_partners(rope_dim, at, row, partner);
      rotate_part(rope_dim, at, [&](int end, int first) {
        rotates_eagerly(g.spec.rounding)
            ? rotate_elements<kDType>(Rounding::eager, end, first, angles, partner, y[i][slot])
            : rotate_elements<kDType>(Rounding::fused, end, first, angles, partner, y[i][slot]);
      });
    }
  }
}

/// A token's angles for a head, which may have a table of its own.
QKJIT_DEVICE TableRows<TableForm> source_of_head(const GenericParams& g,
                                                 const TableRows<TableForm>& table, unsigned head) {
  return table_of_head(table, g.common.table_head_stride,
                       head);  // a stride of 0 where heads share one
}
template <class Form>
QKJIT_DEVICE const TokenPhases<Form>& source_of_head(const GenericParams&,
                                                     const TokenPhases<Form>& phases, unsigned) {
  return phases;
}

/// A rotated part that begins inside a chunk: pairs of either layout may lie across chunks, so they
/// are rotated where they are shown, one at a time. So are those of heads with tables of their own,
/// for which alone a lane has no angles at hand.
template <DType kDType, int kSlots, class Source>
QKJIT_DEVICE void rotate_across_chunks(const GenericParams& g, const AnyLane& lane,
                                       const AnyToken& token, const Source& any_table, float* shown,
                                       AnyValues<kSlots>& y) {
  const Rounding rounding = rotates_eagerly(g.spec.rounding) ? Rounding::eager : Rounding::fused;
  const bool neox = g.spec.layout == Layout::neox;
  const int begin = rotated_begin(g.spec), half = g.spec.rope_dim / 2;
  float* const row = shown + lane.group * lane.in.lanes * kSlots * kChunk;
#pragma unroll
  for (int i = 0; i < generic_rows(kSlots); ++i) {
    const unsigned head = token.first_head + i * token.apart;
    const Source table = source_of_head(g, any_table, head < token.heads ? head : 0);
    __syncwarp();  // the row before may still be read
#pragma unroll
    for (int slot = 0; slot < kSlots; ++slot) {
      if (!lane.is_left_over) show_chunk(y[i][slot], lane.first_element(slot), row);
    }
    __syncwarp();
#pragma unroll 1
    for (int pair = lane.in.in_group; pair < half && !lane.is_left_over; pair += lane.in.lanes) {
      float& first = row[begin + (neox ? pair : 2 * pair)];
      float& second = row[begin + (neox ? pair + half : 2 * pair + 1)];
      const int other = neox ? table.form.angle_of(pair + half) : pair;
      rotate_pair<kDType>(rounding, first, second, table.cosine(pair), table.sine(pair),
                          table.cosine(other), table.sine(other));
    }
    __syncwarp();
#pragma unroll
    for (int slot = 0; slot < kSlots; ++slot) {
      load_floats<kChunk>(row + lane.first_element(slot), y[i][slot]);
    }
  }
}

/// Whether pairs are rotated one at a time.
QKJIT_DEVICE bool rotates_one_by_one(const Spec& spec) {
  return rotated_begin(spec) % kChunk != 0 || has_head_tables(spec);
}

/// Whether pairs go through shared memory, where they load their angles themselves.
QKJIT_DEVICE bool rotates_in_shared(const GenericParams& g) {
  const bool exchanged = g.spec.layout == Layout::neox && g.pairing == Pairing::exchange;
  return exchanged || rotates_one_by_one(g.spec);
}

template <DType kDType, int kSlots, Forms kForms, class Source>
QKJIT_DEVICE void rotate_any_rows(const GenericParams& g, const Source& plain, AnyToken token,
                                  const AnyLane& lane, const AnyAngles<kSlots>& angles,
                                  float* shown, AnyValues<kSlots>& y) {
  if (kForms != Forms::common && rotates_one_by_one(g.spec)) {
    if constexpr (kForms == Forms::computed) {
      rotate_across_chunks<kDType, kSlots>(g, lane, token, plain, shown, y);
    } else {
      rotate_across_chunks<kDType, kSlots>(g, lane, token, find_any_angles(g, token), shown, y);
    }
  } else if (rotates_in_shared(g)) {
    exchange_any_rows<kDType, kSlots, kForms>(g, lane, plain, token, shown, y);
  } else if (rotates_eagerly(g.spec.rounding)) {
    rotate_any_pairs<kDType, kSlots>(Rounding::eager, g, lane, angles, y);
  } else {
    rotate_any_pairs<kDType, kSlots>(Rounding::fused, g, lane, angles, y);
  }
}

/// The slices of a warp's groups, from `index` on and before `end`: finish(lane, rows, y) is called
/// at last. `shown` is shared memory of the warp.
template <DType kDType, int kSlots, Forms kForms, class Finish>
static QKJIT_DEVICE void run_any_slices(const GenericParams& g, const AllFrequencies* frequencies,
                                        unsigned index, unsigned end, float* shown,
                                        const Finish& finish) {
  using Storage = typename Format<kDType>::Storage;
  constexpr int kRows = generic_rows(kSlots);
  const Spec spec = kForms == Forms::common ? common_form(g.spec) : g.spec;
  AnyLane lane = AnyLane::of(g.groups);
  const auto rows =
      AnyRows<Storage, kRows>::template of<kForms>(g, index + lane.group, end, lane.is_left_over);
  const AnyToken token{rows.token, rows.is_q, rows.first_head, rows.apart,
                       rows.is_v ? 0 : rows.heads};

  AnyChunks<kDType, kRows, kSlots> stored;
  if (g.whole_rows) {  // once for all chunks, so that none waits for another
    load_any_rows<kDType, kRows, kSlots>(true, lane, rows.in, rows.in_step, rows.elements, stored);
  } else {
    load_any_rows<kDType, kRows, kSlots>(false, lane, rows.in, rows.in_step, rows.elements, stored);
  }
  const Norm norm = rows.is_v ? Norm::none : rows.is_q ? spec.q_norm : spec.k_norm;
  AnyChunks<kDType, 1, kSlots> weight = {};
  if (has_weight(spec, norm) && dtype_of_weights(spec) == kDType) {
    load_any_rows<kDType, 1, kSlots>(g.whole_rows, lane, static_cast<const Storage*>(rows.weight),
                                     0, {g.spec.head_dim}, weight);
  }
  typename AnySource<kForms>::Type plain = {};
  AnyAngles<kSlots> angles = {};
  if (spec.rope_dim > 0) {
    plain = AnySource<kForms>::find(g, frequencies, token);
    if (!rotates_in_shared(g)) {
      load_any_angles<kSlots, kForms>(g, lane, plain, token, angles);
    }
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
    if (spec.rope_dim == 0) return;
    rotate_any_rows<kDType, kSlots, kForms>(g, plain, token, lane, angles, shown, y);
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
  finish(lane, rows, y);
}

/// `frequencies` are those of computed angles, null with a table.
template <DType kDType, int kSlots, Forms kForms>
static QKJIT_DEVICE void generic(const GenericParams& g,
                                 const AllFrequencies* frequencies = nullptr) {
  constexpr int kRows = generic_rows(kSlots), kWarps = kGenericThreads / 32;
  using Found = AnyRows<typename Format<kDType>::Storage, kRows>;
  alignas(16) __shared__ float shown[kWarps][32 * kSlots * kChunk];
  const unsigned warp = threadIdx.x / 32, per_block = kWarps * g.groups.per_warp;
  const unsigned own = warp * g.groups.per_warp;
  if constexpr (kForms == Forms::common) {
    const unsigned index = blockIdx.x * per_block + own;
    if (index >= g.slices.count) return;  // whole warps leave
    const auto store = [&](const AnyLane& lane, const Found& rows, AnyValues<kSlots>& y) {
      store_any_rows<kDType, kRows, kSlots>(g.whole_rows, lane, rows, y);
    };
    run_any_slices<kDType, kSlots, kForms>(g, frequencies, index, g.slices.count, shown[warp],
                                           store);
  } else {
    // Where a token's heads share scales, a block has a token, twice; else as many as it has
    // groups.
    __shared__ float found[3 * kWarps];
    const bool scales_found = scales_tokens(g.spec);
    const unsigned begin = blockIdx.x * (scales_found ? g.slices.per_token : per_block);
    const unsigned end = scales_found ? begin + g.slices.per_token : g.slices.count;
    TokenLargest largest;
    TokenScales scales = {};
    const auto finish = [&](bool stores) {
      return [&, stores](const AnyLane& lane, const Found& rows, AnyValues<kSlots>& y) {
        if (!stores) {
          find_any_largest<kDType, kRows, kSlots>(g, lane, rows, y, largest);
        } else if (has_other_outputs(g.spec)) {
          store_any_outputs<kDType, kRows, kSlots>(g, lane, rows, y, scales);
        } else if (rows.is_v) {
          copy_any_rows<kDType, kRows, kSlots>(g.whole_rows, lane, rows);
        } else {
          store_any_rows<kDType, kRows, kSlots>(g.whole_rows, lane, rows, y);
        }
      };
    };
#pragma unroll 1  // twice, but once in the code
    for (int pass = scales_found ? 0 : 1; pass < 2; ++pass) {
      if (scales_found && pass == 1) scales = TokenScales::of_block(largest, found);
#pragma unroll 1
      for (unsigned index = begin + own; index < end; index += per_block) {
        run_any_slices<kDType, kSlots, kForms>(g, frequencies, index, end, shown[warp],
                                               finish(pass == 1));
        if (!scales_found) break;
      }
    }
  }
}

}  // namespace qkjit
