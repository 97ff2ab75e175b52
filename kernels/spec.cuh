// What a kernel is specialised on. The one definition shared by device code and host: the host
// parses it (src/spec), prints it into a translation unit (src/codegen), and the kernel takes it as
// a template argument.
#pragma once

// Compile-time functions run on the host's side of a compiler too.
#if defined(__CUDACC__)
#define QKJIT_CONSTEXPR __host__ __device__ constexpr
#else
#define QKJIT_CONSTEXPR constexpr
#endif

namespace qkjit {

/// Element type of q, k and their outputs.
enum class DType { bf16, fp16, fp32 };

/// Bytes of an element.
QKJIT_CONSTEXPR int size_of(DType dtype) { return dtype == DType::fp32 ? 4 : 2; }

/// Which elements form a rotated pair: (2i, 2i+1), or (i, i + rope_dim/2).
enum class Layout { interleaved, neox };

/// Where values are rounded to the dtype between the norm and the store (see arithmetic.cuh).
enum class Rounding { fused, split, eager, hf, late_weight, hf_eager, late_weight_eager };

/// The mode that normalises alike and rotates in fp32: what a mode says of the norm.
QKJIT_CONSTEXPR Rounding norm_rounding(Rounding rounding) {
  switch (rounding) {
    case Rounding::eager:
      return Rounding::split;
    case Rounding::hf_eager:
      return Rounding::hf;
    case Rounding::late_weight_eager:
      return Rounding::late_weight;
    default:
      return rounding;
  }
}

/// Whether the rotation rounds each product.
QKJIT_CONSTEXPR bool rotates_eagerly(Rounding rounding) {
  return norm_rounding(rounding) != rounding;
}

/// How a token finds its row of the table: an index array, or its own number; its place in a grid
/// of frames, rows and columns, an axis each; or its place in the segment that it is of.
enum class Positions { int64, int32, implicit, grid, segments };

/// Whether they are an array with one for each token, or none.
QKJIT_CONSTEXPR bool is_given_or_implicit(Positions positions) {
  return positions != Positions::grid && positions != Positions::segments;
}

/// How a head of q or of k is normalised: RMSNorm, not at all, or LayerNorm.
enum class Norm { rms, none, layer };

/// What a norm multiplies by: the weight w, 1 + w, or nothing.
enum class Weight { plain, one_plus, none };

/// Whether LayerNorm adds a bias.
enum class Bias { no, yes };

/// Element type of weights and biases: that of q and k, or one of its own.
enum class WeightDType { same, bf16, fp16, fp32 };

/// Whether a head is normalised before it is rotated or after.
enum class NormOrder { before, after };

/// How many values a row of the table has: one for an angle; or two equal ones, as Hugging Face
/// makes it: with neox the second half repeats the first, interleaved each value is there twice; or
/// one for each element of the rotated part, so that the two of a pair turn by angles of their own.
enum class TableWidth { half, full, elements };

/// Which rope_dim elements of a head are rotated: its first, or its last.
enum class RopePlacement { head, tail };

/// Which angles take their position from which axis: those of axis 0 first, then those of axis 1
/// and 2; or in turns, 0 1 2 0 1 2, until 1 and 2 have theirs, where axis 0 takes over.
enum class SectionOrder { contiguous, interleaved };

/// What shares a variance: a head, head_dim elements; or all heads that a token has of q, and all
/// that it has of k, heads * head_dim elements.
enum class NormScope { head, token };
/// How a call's batches lie: as tokens of one long sequence that q and k share; or as sequences of
/// their own, any distance apart, q's and k's of lengths and positions of their own.
enum class Batch { folded, strided };

/// Whether V is copied beside q and k, as into a joint buffer.
enum class Values { none, copy };

/// Where a token's cosines and sines come from: a table that the caller made, or its position and
/// the frequencies of a call.
enum class Angles { table, computed };

/// Of which heads a weight and a bias are: of all heads of q, or of k, alike; or each head has its
/// own, one after another, heads * head_dim elements. A norm across heads has no others.
enum class Weights { shared, per_head };

/// Of which heads a table is: of all alike, or head h of q and head h of k have the h-th.
enum class TableHeads { shared, per_head };

/// Whether a kernel compares positions with the rows of the table. A token beyond them then takes
/// the nearest row and is reported.
enum class Bounds { unchecked, checked };

/// How the values of an output are stored: as the dtype, or as FP8 e4m3 with scales beside them.
enum class Out { same, fp8_e4m3 };

/// Whose an FP8 scale is: given for the call, with what sharing its strides say; or found and
/// written, for each head of each token, or for all heads that a token has of q, of k and of V.
enum class OutScale { given, head, token };

/// Where k's result goes, and V: to outputs shaped as they are, or to slots of a paged cache.
enum class Cache { none, paged };

/// Type of the slots.
enum class Slots { int64, int32 };

struct Spec {
  int head_dim = 0;
  int rope_dim = 0;  ///< rotated elements of a head; 0 is norm only
  Layout layout = Layout::interleaved;
  DType dtype = DType::bf16;
  Rounding rounding = Rounding::fused;
  Positions positions = Positions::int64;
  Norm q_norm = Norm::rms;
  Norm k_norm = Norm::rms;
  Weight weight = Weight::plain;
  Bias bias = Bias::no;
  WeightDType weight_dtype = WeightDType::same;
  NormOrder norm_order = NormOrder::before;
  DType table = DType::fp32;  ///< of the cosines and sines
  TableWidth table_width = TableWidth::half;
  RopePlacement placement = RopePlacement::head;
  int sections[3] = {};  ///< angles of each position axis; all 0: positions have one axis
  SectionOrder section_order = SectionOrder::contiguous;
  NormScope norm_scope = NormScope::head;
  Angles angles = Angles::table;
  Weights weights = Weights::shared;
  Batch batch = Batch::folded;
  Values v = Values::none;
  TableHeads table_heads = TableHeads::shared;
  Bounds bounds = Bounds::unchecked;
  Out q_out = Out::same;
  Out k_out = Out::same;  ///< of V too
  OutScale out_scale = OutScale::given;
  Cache cache = Cache::none;
  Slots slots = Slots::int64;

  friend QKJIT_CONSTEXPR bool operator==(const Spec&, const Spec&) = default;
};

QKJIT_CONSTEXPR bool has_norm(const Spec& spec) {
  return spec.q_norm != Norm::none || spec.k_norm != Norm::none;
}

/// Whether the rows that `norm` normalises, q's or k's, come with a weight, and with a bias.
QKJIT_CONSTEXPR bool has_weight(const Spec& spec, Norm norm) {
  return norm != Norm::none && spec.weight != Weight::none;
}
QKJIT_CONSTEXPR bool has_bias(const Spec& spec, Norm norm) {
  return norm == Norm::layer && spec.bias == Bias::yes;
}

QKJIT_CONSTEXPR bool norms_across_heads(const Spec& spec) {
  return spec.norm_scope == NormScope::token;
}

/// Whether heads have vectors of their own. Such a spec is run token by token: a block has all
/// heads of a token's q or k.
QKJIT_CONSTEXPR bool runs_by_token(const Spec& spec) {
  return norms_across_heads(spec) || spec.weights == Weights::per_head;
}

/// What a block may own of a token: its q, its k, and its v where that is copied.
QKJIT_CONSTEXPR unsigned tensors_of(const Spec& spec) { return spec.v == Values::copy ? 3 : 2; }

/// Elements of a weight or a bias, of q or of k with so many heads.
QKJIT_CONSTEXPR long long weight_length(const Spec& spec, long long heads) {
  return runs_by_token(spec) ? heads * spec.head_dim : spec.head_dim;
}

QKJIT_CONSTEXPR DType dtype_of_weights(const Spec& spec) {
  switch (spec.weight_dtype) {
    case WeightDType::same:
      return spec.dtype;
    case WeightDType::bf16:
      return DType::bf16;
    case WeightDType::fp16:
      return DType::fp16;
    case WeightDType::fp32:
      return DType::fp32;
  }
  return spec.dtype;  // unreachable: the switch is complete
}

/// The first rotated element of a head.
QKJIT_CONSTEXPR int rotated_begin(const Spec& spec) {
  return spec.placement == RopePlacement::tail ? spec.head_dim - spec.rope_dim : 0;
}

QKJIT_CONSTEXPR bool has_fp8(const Spec& spec) {
  return spec.q_out == Out::fp8_e4m3 || spec.k_out == Out::fp8_e4m3;
}

/// Whether an output is of another kind than rows of the dtype in a tensor shaped as its input.
QKJIT_CONSTEXPR bool has_other_outputs(const Spec& spec) {
  return has_fp8(spec) || spec.cache == Cache::paged;
}

/// Whether q's output is FP8, or those of k and V are.
QKJIT_CONSTEXPR bool is_fp8(const Spec& spec, bool is_q) {
  return (is_q ? spec.q_out : spec.k_out) == Out::fp8_e4m3;
}

/// Whether a token's heads share a scale that is found: then a block has a whole token, finds what
/// is largest in it, and does all again to store it.
QKJIT_CONSTEXPR bool scales_tokens(const Spec& spec) { return spec.out_scale == OutScale::token; }

/// Bytes of an element there.
QKJIT_CONSTEXPR int size_of_out(const Spec& spec, bool is_q) {
  return is_fp8(spec, is_q) ? 1 : size_of(spec.dtype);
}

QKJIT_CONSTEXPR bool has_sections(const Spec& spec) { return spec.sections[0] > 0; }

QKJIT_CONSTEXPR bool has_head_tables(const Spec& spec) {
  return spec.table_heads == TableHeads::per_head;
}

/// Whether a token's angles lie in one row of the table, as fp32 values side by side.
QKJIT_CONSTEXPR bool has_plain_table(const Spec& spec) {
  const bool side_by_side = spec.table_width == TableWidth::half ||
                            (spec.table_width == TableWidth::full && spec.layout == Layout::neox);
  return spec.table == DType::fp32 && side_by_side && !has_sections(spec);
}

/// Rows are summed, loaded and stored in chunks of this many elements.
inline constexpr int kChunk = 8;

QKJIT_CONSTEXPR int ceil_div(int a, int b) { return (a + b - 1) / b; }

QKJIT_CONSTEXPR int next_power_of_two(int n) {
  int power = 1;
  while (power < n) power *= 2;
  return power;
}

}  // namespace qkjit
