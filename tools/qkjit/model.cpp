// Lookups, placement, rescaling and support decisions on a parsed Model.
#include "tools/qkjit/model.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "spec/text.hpp"
#include "tools/qkjit/model_internal.hpp"

namespace qkjit {
namespace {

template <class T>
const T& by_name(const std::vector<T>& items, std::string_view name) {
  auto item = std::ranges::find(items, name, &T::name);
  if (item == items.end()) std::abort();
  return *item;
}

void take_table(const Table& table, Spec& spec) {
  spec.table = table.values;
  spec.table_width = table.width;
  if (table.per_head) spec.table_heads = TableHeads::per_head;
  if (table.rows != TableBy::position) return;
  for (std::size_t axis = 0; axis < 3; ++axis) spec.sections[axis] = table.axes[axis] / 2;
  if (table.axis_order == AxisOrder::interleaved) spec.section_order = SectionOrder::interleaved;
}

/// The norm, of a head or across heads.
Norm norm_of(NormKind kind) {
  switch (kind) {
    case NormKind::none:
      return Norm::none;
    case NormKind::layer_per_head:
      return Norm::layer;
    case NormKind::rms_per_head:
    case NormKind::rms_across_heads:
      break;
  }
  return Norm::rms;
}

std::int64_t scaled(std::int64_t extent, double factor) {
  return std::max<std::int64_t>(1, std::llround(static_cast<double>(extent) * factor));
}

}  // namespace

std::int64_t Segment::tokens() const {
  std::int64_t product = 1;
  for (auto extent : grid) product *= extent;
  return grid.empty() ? run : product;
}

const Attention& Model::attention(std::string_view wanted) const {
  return by_name(attentions, wanted);
}
const Segment& Model::segment(std::string_view wanted) const { return by_name(segments, wanted); }
const Table& Model::table(std::string_view wanted) const { return by_name(tables, wanted); }

void place_calls(Model& model) {
  for (auto& call : model.calls) {
    const Attention& attention = model.attention(call.attention);
    call.heads_q = call.side == Side::k ? 0 : attention.heads_q;
    call.heads_k = call.side == Side::q ? 0 : attention.heads_k;
    call.tokens = call.position_offset = 0;
    for (const auto& name : call.segments) call.tokens += model.segment(name).tokens();
    if (call.table.empty()) continue;
    for (const auto& name : model.table(call.table).segments) {
      if (name == call.segments.front()) break;
      call.position_offset += model.segment(name).tokens();
    }
  }
}

Result<Model> with_tokens(const Model& model, std::int64_t tokens) {
  if (tokens < 1 || tokens > kMaxTokens) {
    return fail(Code::invalid_argument, "tokens is {}; it must be 1 .. {}", tokens, kMaxTokens);
  }
  std::int64_t longest = 1;
  for (const auto& call : model.calls) longest = std::max(longest, call.tokens);
  const double factor = static_cast<double>(tokens) / static_cast<double>(longest);

  Model result = model;
  for (auto& segment : result.segments) {
    if (segment.grid.empty()) segment.run = scaled(segment.run, factor);
    const auto wide = std::ranges::count_if(segment.grid, [](auto extent) { return extent > 1; });
    for (auto& extent : segment.grid) {
      if (extent > 1) extent = scaled(extent, std::pow(factor, 1.0 / static_cast<double>(wide)));
    }
  }
  place_calls(result);
  return result;
}

Spec spec_of(const Model& model, const Call& call) {
  const Attention& attention = model.attention(call.attention);
  const Norm norm = norm_of(attention.norm);
  Spec spec{.head_dim = attention.head_dim,
            .rope_dim = call.table.empty() ? 0 : attention.rope_dim,
            .layout = attention.layout,
            .dtype = attention.dtype,
            .rounding = attention.rounding,
            .positions = call.positions,
            .q_norm = norm,
            .k_norm = norm,
            .weight = attention.weight_form,
            .bias = attention.bias,
            .weight_dtype = attention.weight_dtype,
            .norm_order = attention.norm_order,
            .placement = attention.placement};
  if (attention.norm == NormKind::rms_across_heads) spec.norm_scope = NormScope::token;
  if (attention.weights_per_head) spec.weights = Weights::per_head;
  if (!call.table.empty()) take_table(model.table(call.table), spec);
  return normalized(spec);
}

}  // namespace qkjit
