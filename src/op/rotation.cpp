#include "op/rotation.hpp"

#include <fmt/ranges.h>

#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "kernels/table.cuh"
#include "op/position_forms.hpp"
#include "op/tensor.hpp"
#include "spec/names.hpp"

namespace qkjit {
namespace {

constexpr std::int64_t kMost32 = std::numeric_limits<std::int32_t>::max();

/// Cosines and sines in one tensor or in one each, never both.
Result<void> check_which(const qkjit_args& args) {
  std::vector<std::string_view> given;
  if (is_given(args.cos_sin_cache)) given.emplace_back("cos_sin_cache");
  if (is_given(args.cos)) given.emplace_back("cos");
  if (is_given(args.sin)) given.emplace_back("sin");
  const bool joint = given.size() == 1 && is_given(args.cos_sin_cache);
  const bool apart = given.size() == 2 && !is_given(args.cos_sin_cache);
  if (joint || apart) return {};
  if (given.empty()) {
    return fail(Code::invalid_argument,
                "cos_sin_cache is not given: it is needed for a rotation, or cos and sin");
  }
  return fail(Code::invalid_argument, "{} {} given: give cos_sin_cache alone, or cos and sin",
              fmt::join(given, " and "), given.size() == 1 ? "alone is" : "are");
}

/// Bytes from a row of a tensor of the table to the next, and from a head's to the next.
struct TableStrides {
  std::int64_t row = 0, head = 0;

  friend bool operator==(const TableStrides&, const TableStrides&) = default;
};

/// The heads of a table that has them: as many as the call rotates, or more.
Result<std::int64_t> check_heads(std::string_view name, const qkjit_tensor& t, const Spec& spec,
                                 int width, const Lengths& lengths) {
  if (t.shape[1] < lengths.heads) {
    return fail(Code::invalid_argument,
                "{} has {} heads, q or k has {}: with table_heads=per_head each head takes the "
                "table of its own number; give as many",
                name, t.shape[1], lengths.heads);
  }
  const std::int64_t stride = t.shape[1] > 1 ? t.strides[1] : 0, size = size_of(spec.table);
  const std::int64_t most = std::numeric_limits<std::int64_t>::max() / 4 / size / t.shape[1];
  if (t.shape[1] > 1 && (stride < width || stride > most)) {
    return fail(Code::invalid_argument,
                "{} has head stride {}: heads of {} values must not overlap, and all must lie in "
                "63-bit byte offsets; use at least {}",
                name, stride, width, width);
  }
  return stride * size;
}

/// A tensor of the table, each row with `width` values.
Result<TableStrides> check_table(std::string_view name, const qkjit_tensor& t, const Spec& spec,
                                 int width, const Lengths& lengths, std::string_view content) {
  const bool by_head = has_head_tables(spec);
  const int rank = by_head ? 3 : 2;
  const std::string shape = fmt::format("[rows, {}{}]", by_head ? "heads, " : "", width);
  auto checked = check_form(name, t, shape, rank, static_cast<int>(spec.table));
  if (!checked) return tl::unexpected(checked.error());
  if (t.shape[0] < 1) {
    return fail(Code::invalid_argument, "{} has no rows: give at least one", name);
  }
  if (t.shape[rank - 1] != width) {
    return fail(Code::invalid_argument,
                "{} is [{}]: with rope_dim={}, table_width={} it must be {}, {}", name,
                fmt::join(t.shape, t.shape + rank, ", "), spec.rope_dim, name_of(spec.table_width),
                shape, content);
  }
  const std::int64_t stride = t.shape[0] > 1 ? t.strides[0] : width;
  if (stride < width) {
    return fail(Code::invalid_argument,
                "{} has row stride {}: rows of {} values must not overlap; use at least {}", name,
                stride, width, width);
  }
  if (t.shape[0] > kMost32 || stride > kMost32 / size_of(spec.table)) {
    return fail(Code::invalid_argument,
                "{} has {} rows at a stride of {} elements: 2^31 rows or bytes from row to row are "
                "too many; give the part of the table that the call needs",
                name, t.shape[0], stride);
  }
  const auto head_bytes =
      by_head ? check_heads(name, t, spec, width, lengths) : Result<std::int64_t>(0);
  if (!head_bytes) return tl::unexpected(head_bytes.error());
  return TableStrides{stride * size_of(spec.table), *head_bytes};
}

ReadOnly part_of_table(std::string_view name, const qkjit_tensor& t, std::int64_t offset,
                       const TableStrides& strides, std::int64_t part_bytes) {
  const void* data = static_cast<const char*>(t.data) + offset;
  const std::int64_t heads = t.rank == 3 ? t.shape[1] : 1;
  return {name,
          data,
          {reinterpret_cast<std::uintptr_t>(data), t.shape[0], heads, strides.row, strides.head,
           part_bytes}};
}

void set_table(Rotation& r, const qkjit_tensor& t, const TableStrides& strides) {
  r.table_rows = t.shape[0], r.table_row_bytes = strides.row;
  r.table_heads = t.rank == 3 ? t.shape[1] : 1, r.table_head_bytes = strides.head;
}

Result<void> check_joint(const qkjit_args& args, const Spec& spec, int width,
                         const Lengths& lengths, Rotation& r) {
  const qkjit_tensor& table = args.cos_sin_cache;
  const auto strides = check_table("cos_sin_cache", table, spec, 2 * width, lengths,
                                   "the cosines of each row before its sines");
  if (!strides) return tl::unexpected(strides.error());
  const std::int64_t part = std::int64_t{width} * size_of(spec.table);
  set_table(r, table, *strides);
  r.cosines = part_of_table("cos_sin_cache", table, 0, *strides, part);
  r.sines = part_of_table("cos_sin_cache", table, part, *strides, part);
  return {};
}

Result<void> check_apart(const qkjit_args& args, const Spec& spec, int width,
                         const Lengths& lengths, Rotation& r) {
  constexpr std::string_view kContent = "a row for each position";
  const auto of_cos = check_table("cos", args.cos, spec, width, lengths, kContent);
  if (!of_cos) return tl::unexpected(of_cos.error());
  const auto of_sin = check_table("sin", args.sin, spec, width, lengths, kContent);
  if (!of_sin) return tl::unexpected(of_sin.error());
  if (args.cos.rank == 3 &&
      (args.cos.shape[1] != args.sin.shape[1] || of_cos->head != of_sin->head)) {
    return fail(Code::invalid_argument,
                "cos has {} heads at a stride of {} elements, sin {} at {}: give both the same",
                args.cos.shape[1], args.cos.strides[1], args.sin.shape[1], args.sin.strides[1]);
  }
  if (args.cos.shape[0] != args.sin.shape[0] || of_cos->row != of_sin->row) {
    return fail(Code::invalid_argument,
                "cos has {} rows at a stride of {} elements, sin {} at {}: give both the same",
                args.cos.shape[0], args.cos.strides[0], args.sin.shape[0], args.sin.strides[0]);
  }
  const std::int64_t part = std::int64_t{width} * size_of(spec.table);
  set_table(r, args.cos, *of_cos);
  r.cosines = part_of_table("cos", args.cos, 0, *of_cos, part);
  r.sines = part_of_table("sin", args.sin, 0, *of_sin, part);
  return {};
}

/// Frequencies where a table is to be used are a mistake. All zero, as a host without the INIT
/// macro may leave them, they are none.
Result<void> check_no_frequencies(const qkjit_frequencies& given) {
  const qkjit_frequencies none = QKJIT_FREQUENCIES_INIT;
  for (const auto& [name, field] : {std::pair{"base", &qkjit_frequencies::base},
                                    {"linear_factor", &qkjit_frequencies::linear_factor},
                                    {"yarn_factor", &qkjit_frequencies::yarn_factor},
                                    {"yarn_low", &qkjit_frequencies::yarn_low},
                                    {"yarn_high", &qkjit_frequencies::yarn_high},
                                    {"attention_factor", &qkjit_frequencies::attention_factor}}) {
    if (given.*field == none.*field || given.*field == 0) continue;
    return fail(Code::invalid_argument,
                "frequencies.{} is {}, but the spec says angles=table: leave the frequencies as "
                "QKJIT_ARGS_INIT has them, or use angles=computed",
                name, given.*field);
  }
  return {};
}

Result<void> check_table(const qkjit_args& args, const Spec& spec, const Lengths& lengths,
                         Rotation& r) {
  if (auto checked = check_which(args); !checked) return checked;
  if (auto checked = check_no_frequencies(args.frequencies); !checked) return checked;
  const int width = spec.table_width == TableWidth::half ? spec.rope_dim / 2 : spec.rope_dim;
  return is_given(args.cos_sin_cache) ? check_joint(args, spec, width, lengths, r)
                                      : check_apart(args, spec, width, lengths, r);
}

Result<void> check_computed(const qkjit_args& args, const Spec& spec, Rotation& r) {
  for (const auto& [name, tensor] :
       {std::pair{"cos_sin_cache", &args.cos_sin_cache}, {"cos", &args.cos}, {"sin", &args.sin}}) {
    if (!is_given(*tensor)) continue;
    return fail(Code::invalid_argument,
                "{} is given, but the spec says angles=computed: leave it out, or use angles=table",
                name);
  }
  auto frequencies = frequencies_of(args.frequencies, spec.rope_dim);
  if (!frequencies) return tl::unexpected(frequencies.error());
  r.frequencies = std::move(*frequencies);
  return {};
}

Result<void> check_not_given(const qkjit_args& args, const Spec& spec) {
  for (const auto& [name, t] :
       {std::pair{"positions", &args.positions}, {"k_positions", &args.k_positions}}) {
    if (!is_given(*t)) continue;
    return fail(Code::invalid_argument,
                "{} are given, but the spec says positions={}: leave them out, or use "
                "positions=int64 or int32",
                name, name_of(spec.positions));
  }
  return {};
}

Result<void> check_implicit(const qkjit_args& args, const Spec& spec, std::int64_t tokens,
                            const Rotation& r) {
  if (spec.angles == Angles::computed) {
    const std::int64_t last = tokens - 1;
    if (args.position_offset <= std::numeric_limits<std::int64_t>::max() - last) return {};
    return fail(Code::invalid_argument,
                "position_offset {} with {} tokens is beyond 63-bit positions: use a smaller one",
                args.position_offset, tokens);
  }
  if (args.position_offset < 0 || args.position_offset > r.table_rows - tokens) {
    return fail(Code::invalid_argument,
                "position_offset {} with {} tokens leaves {} of {} rows: use a table of at least "
                "offset + tokens rows",
                args.position_offset, tokens, r.cosines.name, r.table_rows);
  }
  return {};
}

/// The shape that positions must have, for messages.
std::string shape_of_positions(const Spec& spec, bool is_batched) {
  if (has_sections(spec)) {
    return fmt::format("[3, tokens]{}, as the spec has sections={}",
                       is_batched ? " for all sequences or [3, batch, tokens]" : "",
                       fmt::join(spec.sections, "+"));
  }
  return fmt::format("[tokens]{}; [3, tokens] is for specs with sections",
                     is_batched ? " for all sequences or [batch, tokens]" : "");
}

/// [tokens], or [3, tokens] with sections: one is never read as the other. Of a call with batches
/// both may have them before the tokens.
Result<PositionView> check_explicit(std::string_view name, const qkjit_tensor& t, const Spec& spec,
                                    const Lengths& lengths, std::int64_t tokens) {
  const bool three = has_sections(spec), is_int64 = spec.positions == Positions::int64;
  const std::string shape = shape_of_positions(spec, lengths.is_batched);
  const int shared_rank = three ? 2 : 1;
  const bool is_shared = !lengths.is_batched || t.rank == shared_rank;
  const int rank = is_shared ? shared_rank : shared_rank + 1;
  auto checked = check_form(name, t, shape, rank, is_int64 ? QKJIT_INT64 : QKJIT_INT32);
  if (!checked) return tl::unexpected(checked.error());
  if (three && t.shape[0] != 3) {
    return fail(Code::invalid_argument, "{} is [{}]: it must be {}", name,
                fmt::join(t.shape, t.shape + rank, ", "), shape);
  }
  if (t.shape[rank - 1] != tokens) {
    return fail(Code::invalid_argument,
                "{} has {} elements{}: one for each of the {} tokens is needed", name,
                t.shape[rank - 1], three ? " an axis" : "", tokens);
  }
  if (!is_shared && t.shape[rank - 2] != lengths.batches) {
    return fail(Code::invalid_argument, "{} is for {} sequences: the call has {}", name,
                t.shape[rank - 2], lengths.batches);
  }
  const std::int64_t size = is_int64 ? 8 : 4;
  const std::int64_t axis_stride = three ? t.strides[0] : 0;
  const std::int64_t batch_stride = is_shared || lengths.batches == 1 ? 0 : t.strides[rank - 2];
  const std::int64_t most = std::numeric_limits<std::int64_t>::max() / (4 * size);
  if (axis_stride > most - tokens || batch_stride > (most - tokens) / lengths.batches) {
    return fail(
        Code::invalid_argument,
        "{} with strides [{}] does not fit in 63-bit byte offsets: check the strides, they count "
        "elements",
        name, fmt::join(t.strides, t.strides + rank, ", "));
  }
  const Extent extent{reinterpret_cast<std::uintptr_t>(t.data),
                      three ? 3 : 1,
                      1,
                      axis_stride * size,
                      0,
                      tokens * size,
                      lengths.batches,
                      batch_stride * size};
  return PositionView{{name, t.data, extent}, batch_stride, axis_stride};
}

/// Where k has positions of its own, `positions` are q's; else they are both's, from the first on.
Result<void> check_explicit(const qkjit_args& args, const Spec& spec, const Lengths& lengths,
                            Rotation& r) {
  const bool has_own = is_given(args.k_positions);
  if (has_own && (lengths.q == 0 || lengths.k == 0)) {
    return fail(Code::invalid_argument,
                "k_positions are given, but not both q and k: give positions alone");
  }
  if (has_own && spec.batch == Batch::folded) {
    return fail(Code::invalid_argument,
                "k_positions are given, but the spec says batch=folded, where q and k share "
                "positions: leave them out, or use batch=strided");
  }
  auto of_q = check_explicit("positions", args.positions, spec, lengths,
                             has_own ? lengths.q : lengths.longest());
  if (!of_q) return tl::unexpected(of_q.error());
  r.q_positions = r.k_positions = *of_q;
  if (!has_own) return {};
  auto of_k = check_explicit("k_positions", args.k_positions, spec, lengths, lengths.k);
  if (!of_k) return tl::unexpected(of_k.error());
  r.k_positions = *of_k;
  return {};
}

Result<void> check_positions(const qkjit_args& args, const Spec& spec, const Lengths& lengths,
                             Rotation& r) {
  if (auto checked = check_no_others(args, spec); !checked) return checked;
  if (spec.bounds == Bounds::checked) {
    auto error = check_position_error(args);
    if (!error) return tl::unexpected(error.error());
    r.position_error = *error;
  }
  if (spec.positions == Positions::segments) return check_segments(args, lengths, r);
  const bool is_array = spec.positions != Positions::implicit && spec.positions != Positions::grid;
  if (is_array) return check_explicit(args, spec, lengths, r);
  if (auto checked = check_not_given(args, spec); !checked) return checked;
  if (spec.positions == Positions::implicit) {
    return check_implicit(args, spec, lengths.longest(), r);
  }
  const auto grid = check_grid(args, spec, lengths, r);
  if (!grid) return tl::unexpected(grid.error());
  r.grid = *grid;
  return {};
}

bool is_aligned(const Rotation& r, const Spec& spec) {
  const auto alignment = static_cast<std::uintptr_t>(TableForm::of(spec).alignment());
  const bool rows = r.table_rows == 1 || r.table_row_bytes % std::int64_t(alignment) == 0;
  return rows && r.table_head_bytes % std::int64_t(alignment) == 0 &&
         r.cosines.extent.begin % alignment == 0 && r.sines.extent.begin % alignment == 0;
}

}  // namespace

Result<Rotation> check_rotation(const qkjit_args& args, const Spec& spec, const Lengths& lengths) {
  Rotation r;
  if (spec.rope_dim == 0) return r;
  const bool computed = spec.angles == Angles::computed;
  const auto angles =
      computed ? check_computed(args, spec, r) : check_table(args, spec, lengths, r);
  if (!angles) return tl::unexpected(angles.error());
  const auto positions = check_positions(args, spec, lengths, r);
  if (!positions) return tl::unexpected(positions.error());
  r.position_offset = args.position_offset;
  r.aligned = computed || is_aligned(r, spec);
  return r;
}

bool positions_fold(const Rotation& rotation, const Spec& spec, const Lengths& lengths) {
  if (spec.rope_dim == 0 || lengths.batches == 1 || spec.positions == Positions::grid) return true;
  return spec.positions != Positions::implicit &&
         rotation.q_positions.batch_stride == lengths.longest();
}

}  // namespace qkjit
