// Positions in host memory, which can be read before the call: check_positions() of check.hpp.
#include <string_view>

#include "op/check.hpp"

namespace qkjit {
namespace {

/// The positions of q, or of k, if they can be read.
Result<void> check_positions(const Operation& op, std::string_view name, const Sequences& of) {
  const int axes = has_sections(op.spec) ? 3 : 1;
  const unsigned sequences = static_cast<unsigned>(op.tokens) / op.batches.tokens;
  const bool is_int64 = op.spec.positions == Positions::int64;
  const std::int64_t tokens = of.tokens, offset = op.params.position_offset;
  for (std::int64_t i = 0; i < axes * sequences * tokens; ++i) {
    const std::int64_t axis = i / tokens / sequences, sequence = i / tokens % sequences;
    const std::int64_t token = i % tokens;
    const std::int64_t at = axis * of.position_axis_stride + sequence * of.position_stride + token;
    const std::int64_t position = is_int64 ? static_cast<const std::int64_t*>(of.positions)[at]
                                           : static_cast<const std::int32_t*>(of.positions)[at];
    std::int64_t row = 0;
    const bool overflows = __builtin_add_overflow(position, offset, &row);
    if (op.frequencies && overflows) {
      return fail(Code::invalid_argument,
                  "{}[{}{}{}] = {} with position_offset {} is beyond 63 bits: use smaller "
                  "positions",
                  name, axes > 1 ? fmt::format("{}, ", axis) : "",
                  sequences > 1 ? fmt::format("{}, ", sequence) : "", token, position, offset);
    }
    if (op.frequencies) continue;
    if (overflows || row < 0 || row >= op.table_rows) {
      return fail(Code::invalid_argument,
                  "{}[{}{}{}] = {} with position_offset {} is outside {} of {} rows: use a larger "
                  "table or smaller positions",
                  name, axes > 1 ? fmt::format("{}, ", axis) : "",
                  sequences > 1 ? fmt::format("{}, ", sequence) : "", token, position, offset,
                  op.table_names[0], op.table_rows);
    }
  }
  return {};
}

/// Segments must follow one another from the first token to behind the last, and the positions of
/// each have a place.
Result<void> check_segments(const Operation& op) {
  const auto* begins = static_cast<const std::int32_t*>(op.params.positions);
  const std::int64_t count = op.params.segments.count, offset = op.params.position_offset;
  if (begins[0] != 0 || begins[count] != op.tokens) {
    return fail(
        Code::invalid_argument,
        "positions are from {} to {}: the {} segments of {} tokens begin at 0 and end at {}",
        begins[0], begins[count], count, op.tokens, op.tokens);
  }
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t length = std::int64_t{begins[i + 1]} - begins[i];
    if (length < 0) {
      return fail(Code::invalid_argument,
                  "positions[{}] = {} and positions[{}] = {}: a segment must not end before it "
                  "begins",
                  i, begins[i], i + 1, begins[i + 1]);
    }
    if (length == 0) continue;
    const std::int64_t own = op.params.segments.offsets[i];
    std::int64_t first = 0, last = 0;
    const bool overflows = __builtin_add_overflow(own, offset, &first) ||
                           __builtin_add_overflow(first, length - 1, &last);
    const bool has_place = op.frequencies || (first >= 0 && last < op.table_rows);
    if (!overflows && has_place) continue;
    return fail(Code::invalid_argument,
                "segment_offsets[{}] = {} with {} tokens and position_offset {} is outside {}", i,
                own, length, offset,
                op.frequencies ? "63-bit positions: use smaller offsets"
                               : fmt::format("{} of {} rows: use a larger table or smaller offsets",
                                             op.table_names[0], op.table_rows));
  }
  return {};
}

}  // namespace

Result<void> check_positions(const Operation& op) {
  const bool explicit_positions = op.spec.rope_dim > 0 && is_given_or_implicit(op.spec.positions) &&
                                  op.spec.positions != Positions::implicit;
  if (op.spec.positions == Positions::segments && op.tokens > 0) return check_segments(op);
  if (!explicit_positions) return {};
  const Sequences &q = op.batches.q, &k = op.batches.k;
  if (auto checked = check_positions(op, "positions", q); !checked) return checked;
  return check_positions(op, k.positions == q.positions ? "positions" : "k_positions", k);
}

}  // namespace qkjit
