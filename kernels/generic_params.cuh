// The argument struct and geometry of the generic kernel, shared with the host.
#pragma once

#include "params.cuh"
#include "variant.cuh"

namespace qkjit {

/// How the generic kernel divides a warp.
struct LaneGroups {
  int lanes;  ///< of a group, up to 32: a power of two if they have more than two chunks each
  int half;   ///< the largest power of two below `lanes`; 0 if there is one lane
  unsigned per_warp;
  Divisor by_lanes;  ///< divides by `lanes`
};

struct GenericParams {
  Params common;
  Slices slices;  ///< as many rows as one lane group has in flight, not a warp
  Spec spec;
  float inv_head_dim;  ///< 1 / head_dim, rounded to fp32
  LaneGroups groups;
  Pairing pairing;  ///< of neox; in_lane: a lane's two chunks are partners
  /// Rows of all tensors, weights and biases are whole chunks and lie on 16 bytes.
  bool whole_rows;
  bool plain_table;  ///< see has_plain_table()
  bool wide_table;   ///< cosines and sines of all rows lie on 16 bytes
  Batches batches;   ///< read if the spec has Batch::strided, which Forms::common has not
  ValueRows v;       ///< read if the spec has Values::copy, likewise
  Outputs outputs;   ///< read if has_other_outputs(), likewise
};

static_assert(sizeof(GenericParams) == 840,
              "host and device must agree: change both sides and this size");

inline constexpr int kGenericMaxHeadDim = 1024;
inline constexpr int kGenericThreads = 128;

/// Chunks that a lane holds of a row, at most: what the kernel is compiled for.
inline constexpr int kGenericMaxSlots = kGenericMaxHeadDim / kChunk / 32;
inline constexpr int kGenericSlots[] = {1, 2, kGenericMaxSlots};

/// Rows that a lane group has in flight, as far as there are registers for them.
QKJIT_CONSTEXPR int generic_rows(int slots) { return slots < kGenericMaxSlots ? 2 : 1; }

/// What a kernel is compiled for: what nearly all models ask; or all norms of a head, which take
/// more registers and a longer time to load; or all where heads have vectors of their own
/// (generic_by_token.cuh). The last two of these also with computed angles and no table.
enum class Forms { common, all, by_token, computed, by_token_computed };

QKJIT_CONSTEXPR bool is_by_token(Forms forms) {
  return forms == Forms::by_token || forms == Forms::by_token_computed;
}
QKJIT_CONSTEXPR bool is_computed(Forms forms) {
  return forms == Forms::computed || forms == Forms::by_token_computed;
}

/// The spec itself, if the common forms serve it. Its norm is a weighted RMSNorm, or none, before
/// the rotation of a head's first elements, by fp32 values of one position; to a kernel this says
/// so at compile time.
QKJIT_CONSTEXPR Spec common_form(Spec spec) {
  spec.q_norm = spec.k_norm = spec.q_norm == Norm::none ? Norm::none : Norm::rms;
  spec.weight = Weight::plain;
  spec.bias = Bias::no;
  spec.weight_dtype = WeightDType::same;
  spec.norm_order = NormOrder::before;
  spec.table = DType::fp32;
  spec.table_width = TableWidth::half;
  spec.placement = RopePlacement::head;
  for (int& section : spec.sections) section = 0;
  spec.section_order = SectionOrder::contiguous;
  spec.norm_scope = NormScope::head;
  spec.angles = Angles::table;
  spec.weights = Weights::shared;
  spec.batch = Batch::folded;
  spec.v = Values::none;
  spec.table_heads = TableHeads::shared;
  spec.bounds = Bounds::unchecked;
  if (!is_given_or_implicit(spec.positions)) spec.positions = Positions::int64;
  spec.q_out = spec.k_out = Out::same;
  spec.out_scale = OutScale::given;
  spec.cache = Cache::none;
  spec.slots = Slots::int64;
  return spec;
}

QKJIT_CONSTEXPR Forms forms_of(const Spec& spec) {
  const bool computed = spec.angles == Angles::computed;
  if (runs_by_token(spec)) return computed ? Forms::by_token_computed : Forms::by_token;
  if (computed) return Forms::computed;
  return spec == common_form(spec) ? Forms::common : Forms::all;
}

/// What a generic kernel is compiled for.
struct GenericKind {
  DType dtype;
  int slots;
  Forms forms;
};

/// Blocks that registers must leave room for on a multiprocessor: as many as cost next to no
/// spills.
QKJIT_CONSTEXPR int generic_blocks(int slots, Forms forms) {
  if (forms != Forms::common) return slots == 1 ? 5 : 3;
  return slots == 1 ? 8 : slots == 2 ? 5 : 4;
}

}  // namespace qkjit
