#include "op/dual.hpp"

#include <string>
#include <vector>

#include "kernels/table.cuh"
#include "op/extent.hpp"
#include "op/geometry.hpp"

namespace qkjit {
namespace {

struct Memory {
  std::string_view name;
  Extent extent;
};

std::uintptr_t address_of(const void* data) { return reinterpret_cast<std::uintptr_t>(data); }

Extent rows_of(const Operation& op, const Rows& rows, const Sequences& of) {
  const std::int64_t size = size_of(op.spec.dtype);
  return {address_of(rows.in),
          of.tokens,
          rows.heads,
          rows.in_token_stride * size,
          rows.in_head_stride * size,
          op.spec.head_dim * size,
          op.sequences(),
          of.in_stride * size};
}

/// Of k and V a cache, if there is one.
Extent out_of(const Operation& op, const Rows& rows, const Sequences& of, bool is_q) {
  const std::int64_t size = size_of_out(op.spec, is_q);
  const bool is_paged = op.spec.cache == Cache::paged && !is_q;
  return {address_of(rows.out),
          is_paged ? op.slots.block_size : of.tokens,
          rows.heads,
          rows.out_token_stride * size,
          rows.out_head_stride * size,
          op.spec.head_dim * size,
          is_paged ? op.slots.blocks : op.sequences(),
          of.out_stride * size};
}

std::vector<Memory> written(const Operation& op) {
  std::vector<Memory> all;
  const Params& p = op.params;
  const bool is_paged = op.spec.cache == Cache::paged;
  if (p.q.heads > 0) all.push_back({"q_out", out_of(op, p.q, op.batches.q, true)});
  if (p.k.heads > 0) {
    all.push_back({is_paged ? "k_cache" : "k_out", out_of(op, p.k, op.batches.k, false)});
  }
  if (op.v.rows.heads > 0) {
    all.push_back({is_paged ? "v_cache" : "v_out", out_of(op, op.v.rows, op.v.of, false)});
  }
  for (const ScaleView& scales : op.scales) {
    if (scales.is_written) all.push_back({scales.name, scales.extent});
  }
  return all;
}

Extent positions_of(const Operation& op, const Sequences& of) {
  if (op.spec.positions == Positions::segments) {
    return {address_of(of.positions), 1, 1, 0, 0, 4 * (std::int64_t{op.params.segments.count} + 1)};
  }
  const std::int64_t size = op.spec.positions == Positions::int64 ? 8 : 4;
  return {address_of(of.positions),
          has_sections(op.spec) ? 3 : 1,
          1,
          of.position_axis_stride * size,
          0,
          of.tokens * size,
          op.tokens / op.batches.tokens,
          of.position_stride * size};
}

/// All that a call reads.
std::vector<Memory> read(const Operation& op) {
  std::vector<Memory> all;
  const Params& p = op.params;
  const auto add = [&](std::string_view name, const void* data, std::int64_t rows,
                       std::int64_t stride, std::int64_t bytes) {
    if (data) all.push_back({name, {address_of(data), rows, 1, stride, 0, bytes}});
  };
  const auto add_table = [&](std::string_view name, const void* data, std::int64_t bytes) {
    if (!data) return;
    all.push_back({name,
                   {address_of(data), op.table_rows, op.table_heads, p.table_row_bytes,
                    p.table_head_stride, bytes}});
  };
  if (p.q.heads > 0) all.push_back({"q", rows_of(op, p.q, op.batches.q)});
  if (p.k.heads > 0) all.push_back({"k", rows_of(op, p.k, op.batches.k)});
  if (op.v.rows.heads > 0) all.push_back({"v", rows_of(op, op.v.rows, op.v.of)});
  const auto vector_of = [&](const Rows& rows) {
    return std::int64_t{weight_length(op.spec, rows.heads)} * size_of(dtype_of_weights(op.spec));
  };
  const std::int64_t of_q = vector_of(p.q), of_k = vector_of(p.k);
  add("q_weight", p.q.weight, 1, 0, of_q);
  add("k_weight", p.k.weight, 1, 0, of_k);
  add("q_bias", p.q.bias, 1, 0, of_q);
  add("k_bias", p.k.bias, 1, 0, of_k);
  const TableForm form = TableForm::of(op.spec);
  const std::int64_t values = std::int64_t{form.angles()} * form.step * size_of(op.spec.table);
  add_table(op.table_names[0], p.cosines, values);
  add_table(op.table_names[1], p.sines, values);
  add("segment_offsets", p.segments.offsets, 1, 0, 4 * std::int64_t{p.segments.count});
  add("position_error", p.position_error, 1, 0, 4);
  for (const ScaleView& scales : op.scales) {
    if (scales.data && !scales.is_written) all.push_back({scales.name, scales.extent});
  }
  if (op.slots.data) all.push_back({"slot_mapping", op.slots.extent});
  for (const Sequences* of : {&op.batches.q, &op.batches.k}) {
    if (of->positions && of->tokens > 0) all.push_back({"positions", positions_of(op, *of)});
  }
  return all;
}

Result<void> check_writes(const Operation& writer, std::string_view writer_name,
                          const Operation& other, std::string_view other_name) {
  std::vector<Memory> theirs = read(other);
  for (const Memory& memory : written(other)) theirs.push_back(memory);
  for (const Memory& out : written(writer)) {
    for (const Memory& memory : theirs) {
      if (!overlap(out.extent, memory.extent)) continue;
      return fail(Code::invalid_argument,
                  "{} of the {} stream overlaps {} of the {}: both run side by side, so that "
                  "neither may write what the other reads or writes",
                  out.name, writer_name, memory.name, other_name);
    }
  }
  return {};
}

}  // namespace

Result<void> check_apart(const Operation& first, const Operation& second) {
  if (auto checked = check_writes(first, "first", second, "second"); !checked) return checked;
  return check_writes(second, "second", first, "first");
}

DualLaunch dual_launch(const Operation& first, const Operation& second, const Variants& variants) {
  const FusedLaunch a = fused_launch(first, variants.first);
  const FusedLaunch b = fused_launch(second, variants.second);
  return {{{a.params, b.params}, a.grid.blocks},
          {a.grid.blocks + b.grid.blocks, static_cast<unsigned>(variants.first.threads), 0,
           variants.first.pdl}};
}

}  // namespace qkjit
