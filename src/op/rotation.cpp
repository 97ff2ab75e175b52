#include "op/rotation.hpp"

#include <fmt/ranges.h>

#include <limits>
#include <string>
#include <vector>

#include "kernels/table.cuh"
#include "op/tensor.hpp"
#include "spec/names.hpp"

namespace qkjit {
namespace {

constexpr std::int64_t kMost32 = std::numeric_limits<std::int32_t>::max();

bool is_given(const qkjit_tensor& t) { return t.data || t.rank != 0; }

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

/// A tensor of the table, each row with `width` values; gives the bytes from row to row.
Result<std::int64_t> check_table(std::string_view name, const qkjit_tensor& t, const Spec& spec,
                                 int width, std::string_view content) {
  const std::string shape = fmt::format("[rows, {}]", width);
  auto checked = check_form(name, t, shape, 2, static_cast<int>(spec.table));
  if (!checked) return tl::unexpected(checked.error());
  if (t.shape[0] < 1) {
    return fail(Code::invalid_argument, "{} has no rows: give at least one", name);
  }
  if (t.shape[1] != width) {
    return fail(Code::invalid_argument,
                "{} is [{}, {}]: with rope_dim={}, table_width={} it must be {}, {}", name,
                t.shape[0], t.shape[1], spec.rope_dim, name_of(spec.table_width), shape, content);
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
  return stride * size_of(spec.table);
}

ReadOnly part_of_table(std::string_view name, const qkjit_tensor& t, std::int64_t offset,
                       std::int64_t row_bytes, std::int64_t part_bytes) {
  const void* data = static_cast<const char*>(t.data) + offset;
  return {name,
          data,
          {reinterpret_cast<std::uintptr_t>(data), t.shape[0], 1, row_bytes, 0, part_bytes}};
}

Result<void> check_joint(const qkjit_args& args, const Spec& spec, int width, Rotation& r) {
  const qkjit_tensor& table = args.cos_sin_cache;
  const auto row_bytes = check_table("cos_sin_cache", table, spec, 2 * width,
                                     "the cosines of each row before its sines");
  if (!row_bytes) return tl::unexpected(row_bytes.error());
  const std::int64_t part = std::int64_t{width} * size_of(spec.table);
  r.table_rows = table.shape[0], r.table_row_bytes = *row_bytes;
  r.cosines = part_of_table("cos_sin_cache", table, 0, *row_bytes, part);
  r.sines = part_of_table("cos_sin_cache", table, part, *row_bytes, part);
  return {};
}

Result<void> check_apart(const qkjit_args& args, const Spec& spec, int width, Rotation& r) {
  const auto cos_bytes = check_table("cos", args.cos, spec, width, "a row for each position");
  if (!cos_bytes) return tl::unexpected(cos_bytes.error());
  const auto sin_bytes = check_table("sin", args.sin, spec, width, "a row for each position");
  if (!sin_bytes) return tl::unexpected(sin_bytes.error());
  if (args.cos.shape[0] != args.sin.shape[0] || *cos_bytes != *sin_bytes) {
    return fail(Code::invalid_argument,
                "cos has {} rows at a stride of {} elements, sin {} at {}: give both the same",
                args.cos.shape[0], args.cos.strides[0], args.sin.shape[0], args.sin.strides[0]);
  }
  const std::int64_t part = std::int64_t{width} * size_of(spec.table);
  r.table_rows = args.cos.shape[0], r.table_row_bytes = *cos_bytes;
  r.cosines = part_of_table("cos", args.cos, 0, *cos_bytes, part);
  r.sines = part_of_table("sin", args.sin, 0, *sin_bytes, part);
  return {};
}

/// Frequencies where a table is to be used are a mistake.
Result<void> check_no_frequencies(const qkjit_frequencies& given) {
  const qkjit_frequencies none = QKJIT_FREQUENCIES_INIT;
  if (given.base == none.base) return {};
  return fail(Code::invalid_argument,
              "frequencies.base is {}, but the spec says angles=table: leave the frequencies as "
              "QKJIT_ARGS_INIT has them, or use angles=computed",
              given.base);
}

Result<void> check_table(const qkjit_args& args, const Spec& spec, Rotation& r) {
  if (auto checked = check_which(args); !checked) return checked;
  if (auto checked = check_no_frequencies(args.frequencies); !checked) return checked;
  const int width = spec.table_width == TableWidth::half ? spec.rope_dim / 2 : spec.rope_dim;
  return is_given(args.cos_sin_cache) ? check_joint(args, spec, width, r)
                                      : check_apart(args, spec, width, r);
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

Result<void> check_implicit(const qkjit_args& args, const Spec& spec, std::int64_t tokens,
                            const Rotation& r) {
  if (is_given(args.positions)) {
    return fail(Code::invalid_argument,
                "positions are given, but the spec says positions=implicit: leave them out, or use "
                "positions=int64 or int32");
  }
  if (spec.angles == Angles::computed) {
    if (args.position_offset <= std::numeric_limits<std::int64_t>::max() - tokens) return {};
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

/// [tokens], or [3, tokens] with sections: one is never read as the other.
Result<void> check_explicit(const qkjit_args& args, const Spec& spec, std::int64_t tokens,
                            Rotation& r) {
  const qkjit_tensor& t = args.positions;
  const bool three = has_sections(spec);
  const std::string shape =
      three ? fmt::format("[3, tokens], as the spec has sections={}", fmt::join(spec.sections, "+"))
            : std::string("[tokens]; [3, tokens] is for specs with sections");
  const bool is_int64 = spec.positions == Positions::int64;
  const int rank = three ? 2 : 1;
  auto checked = check_form("positions", t, shape, rank, is_int64 ? QKJIT_INT64 : QKJIT_INT32);
  if (!checked) return checked;
  if (three && t.shape[0] != 3) {
    return fail(Code::invalid_argument, "positions is [{}, {}]: it must be {}", t.shape[0],
                t.shape[1], shape);
  }
  if (t.shape[rank - 1] != tokens) {
    return fail(Code::invalid_argument,
                "positions has {} elements{}: one for each of the {} tokens is needed",
                t.shape[rank - 1], three ? " an axis" : "", tokens);
  }
  const std::int64_t size = is_int64 ? 8 : 4;
  const std::int64_t stride = three ? t.strides[0] : 0;
  if (stride > std::numeric_limits<std::int64_t>::max() / (3 * size) - tokens) {
    return fail(
        Code::invalid_argument,
        "positions with an axis stride of {} does not fit in 63-bit byte offsets: check the "
        "strides, they count elements",
        stride);
  }
  r.position_axis_stride = stride;
  r.positions = {"positions",
                 t.data,
                 {reinterpret_cast<std::uintptr_t>(t.data), three ? 3 : 1, 1, stride * size, 0,
                  tokens * size}};
  return {};
}

bool is_aligned(const Rotation& r, const Spec& spec) {
  const auto alignment = static_cast<std::uintptr_t>(TableForm::of(spec).alignment());
  const bool rows = r.table_rows == 1 || r.table_row_bytes % std::int64_t(alignment) == 0;
  return rows && r.cosines.extent.begin % alignment == 0 && r.sines.extent.begin % alignment == 0;
}

}  // namespace

Result<Rotation> check_rotation(const qkjit_args& args, const Spec& spec, std::int64_t tokens) {
  Rotation r;
  if (spec.rope_dim == 0) return r;
  const bool computed = spec.angles == Angles::computed;
  const auto angles = computed ? check_computed(args, spec, r) : check_table(args, spec, r);
  if (!angles) return tl::unexpected(angles.error());
  const auto positions = spec.positions == Positions::implicit
                             ? check_implicit(args, spec, tokens, r)
                             : check_explicit(args, spec, tokens, r);
  if (!positions) return tl::unexpected(positions.error());
  r.position_offset = args.position_offset;
  r.aligned = computed || is_aligned(r, spec);
  return r;
}

}  // namespace qkjit
