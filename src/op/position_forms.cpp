#include "op/position_forms.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <limits>

#include "op/tensor.hpp"
#include "spec/names.hpp"

namespace qkjit {
namespace {

constexpr std::int64_t kMost32 = std::numeric_limits<std::int32_t>::max();

ReadOnly whole(std::string_view name, const qkjit_tensor& t) {
  return {name, t.data, {reinterpret_cast<std::uintptr_t>(t.data), 1, 1, 0, 0, 4 * t.shape[0]}};
}

/// The tokens of the grid, or 0 if an extent is none or they are 2^31 or more.
std::int64_t tokens_of(const std::int64_t (&extents)[3]) {
  std::int64_t tokens = 1;
  for (const std::int64_t extent : extents) {
    if (extent < 1 || extent > kMost32 / tokens) return 0;
    tokens *= extent;
  }
  return tokens;
}

/// The positions of an axis, the offset of the call with them.
Result<void> check_axis(const qkjit_args& args, const Spec& spec, int axis, const Rotation& r) {
  const std::int64_t extent = args.grid.extents[axis], first = args.grid.first[axis];
  std::int64_t begin = 0, last = 0;
  const bool overflows = __builtin_add_overflow(first, args.position_offset, &begin) ||
                         __builtin_add_overflow(begin, extent - 1, &last);
  if (spec.angles == Angles::computed && !overflows) return {};
  if (spec.angles == Angles::table && !overflows && begin >= 0 && last < r.table_rows) return {};
  const std::string limit = spec.angles == Angles::computed
                                ? "63-bit positions: use smaller ones"
                                : fmt::format(
                                      "the {} rows of {}: use a larger table or another "
                                      "first coordinate",
                                      r.table_rows, r.cosines.name);
  return fail(Code::invalid_argument,
              "grid axis {} with {} coordinates from {} on and position_offset {} leaves {}", axis,
              extent, first, args.position_offset, limit);
}

}  // namespace

Result<PositionGrid> check_grid(const qkjit_args& args, const Spec& spec, const Lengths& lengths,
                                const Rotation& r) {
  const auto& extents = args.grid.extents;
  const std::int64_t tokens = tokens_of(extents);
  for (const std::int64_t of_tensor : {lengths.q, lengths.k}) {
    if (of_tensor == 0 || of_tensor == tokens) continue;
    return fail(Code::invalid_argument,
                "grid is {} frames x height x width for {} tokens of a sequence: give positive "
                "extents whose product is the tokens",
                fmt::join(extents, " x "), of_tensor);
  }
  PositionGrid grid{};
  for (int axis = 0; axis < 3; ++axis) {
    if (auto checked = check_axis(args, spec, axis, r); !checked) {
      return tl::unexpected(checked.error());
    }
    grid.extents[axis] = static_cast<unsigned>(extents[axis]);
    grid.by_extents[axis] = Divisor::of(grid.extents[axis]);
    grid.first[axis] = args.grid.first[axis];
  }
  return grid;
}

Result<void> check_segments(const qkjit_args& args, const Lengths& lengths, Rotation& r) {
  if (lengths.batches != 1) {
    return fail(
        Code::invalid_argument,
        "{} sequences with positions=segments: segments are of one sequence of tokens; give "
        "tensors without a batch dimension",
        lengths.batches);
  }
  if (is_given(args.k_positions)) {
    return fail(Code::invalid_argument,
                "k_positions are given, but the spec says positions=segments: leave them out");
  }
  auto checked = check_form("positions", args.positions, "[segments + 1]", 1, QKJIT_INT32);
  if (!checked) return checked;
  checked = check_form("segment_offsets", args.segment_offsets, "[segments]", 1, QKJIT_INT32);
  if (!checked) return checked;
  const std::int64_t begins = args.positions.shape[0], count = args.segment_offsets.shape[0];
  if (count < 1 || count > kMost32 || begins != count + 1) {
    return fail(Code::invalid_argument,
                "positions has {} elements and segment_offsets {}: give the begins of one segment "
                "or more and the tokens behind the last, and an offset for each segment",
                begins, count);
  }
  r.q_positions.memory = r.k_positions.memory = whole("positions", args.positions);
  r.segment_offsets = whole("segment_offsets", args.segment_offsets);
  r.segments = static_cast<unsigned>(count);
  return {};
}

Result<void> check_no_others(const qkjit_args& args, const Spec& spec) {
  const auto is_zero = [](const auto& values) {
    return std::ranges::all_of(values, [](std::int64_t value) { return value == 0; });
  };
  const bool has_grid = !is_zero(args.grid.extents) || !is_zero(args.grid.first);
  if (has_grid && spec.positions != Positions::grid) {
    return fail(
        Code::invalid_argument,
        "grid is given, but the spec says positions={}: leave it as QKJIT_ARGS_INIT has it, "
        "or use positions=grid",
        name_of(spec.positions));
  }
  if (is_given(args.segment_offsets) && spec.positions != Positions::segments) {
    return fail(Code::invalid_argument,
                "segment_offsets are given, but the spec says positions={}: leave them out, or use "
                "positions=segments",
                name_of(spec.positions));
  }
  if (is_given(args.position_error) && spec.bounds == Bounds::unchecked) {
    return fail(Code::invalid_argument,
                "position_error is given, but the spec says bounds=unchecked: leave it out, or use "
                "bounds=checked");
  }
  return {};
}

Result<ReadOnly> check_position_error(const qkjit_args& args) {
  auto checked = check_form("position_error", args.position_error, "[1]", 1, QKJIT_INT32);
  if (!checked) return tl::unexpected(checked.error());
  if (args.position_error.shape[0] != 1) {
    return fail(Code::invalid_argument, "position_error has {} elements: it must be [1]",
                args.position_error.shape[0]);
  }
  return whole("position_error", args.position_error);
}

}  // namespace qkjit
