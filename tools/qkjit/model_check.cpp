// The references inside a model file: names, axes and the order of segments.
#include <algorithm>
#include <numeric>
#include <set>

#include "tools/qkjit/model_internal.hpp"

namespace qkjit {
namespace {

template <class T>
const T* find(const std::vector<T>& items, std::string_view name) {
  auto item = std::ranges::find(items, name, &T::name);
  return item == items.end() ? nullptr : &*item;
}

template <class... Args>
tl::unexpected<Error> bad(fmt::format_string<Args...> format, Args&&... args) {
  return fail(Code::invalid_argument, format, std::forward<Args>(args)...);
}

template <class T>
Result<void> check_unique(const std::vector<T>& items, std::string_view list) {
  std::set<std::string_view> seen;
  for (const auto& item : items) {
    if (!seen.insert(item.name).second) return bad("{}: '{}' is given twice", list, item.name);
  }
  return {};
}

Result<void> check_segments(const Model& model) {
  std::set<std::string_view> earlier;
  for (const auto& segment : model.segments) {
    for (const auto& axis : segment.axes) {
      if (!axis.after.empty() && !earlier.contains(axis.after)) {
        return bad("segment '{}': start names '{}', which is no earlier segment with a start",
                   segment.name, axis.after);
      }
    }
    if (!segment.axes.empty()) earlier.insert(segment.name);
  }
  return {};
}

Result<void> check_table(const Model& model, const Table& table) {
  if (table.rows == TableBy::position && (table.per_head || table.axes.size() != 3)) {
    return bad("table '{}': rows by position need three axes, and one table for all heads",
               table.name);
  }
  for (const auto& name : table.segments) {
    const auto* segment = find(model.segments, name);
    if (!segment) return bad("table '{}': no segment '{}'", table.name, name);
    if (segment->axes.size() != table.axes.size()) {
      return bad("table '{}': segment '{}' has {} start coordinates, the table has {} axes",
                 table.name, name, segment->axes.size(), table.axes.size());
    }
  }
  return {};
}

Result<void> check_call(const Model& model, const Call& call) {
  const auto* attention = find(model.attentions, call.attention);
  if (!attention) return bad("call '{}': no attention '{}'", call.name, call.attention);
  const bool has_weights = attention->norm != NormKind::none &&
                           (attention->weight_form != Weight::none || attention->bias == Bias::yes);
  if (call.weights.empty() == has_weights) {
    return bad("call '{}': weights must be given exactly when its attention's norm has some",
               call.name);
  }
  for (const auto& name : call.segments) {
    if (!find(model.segments, name)) return bad("call '{}': no segment '{}'", call.name, name);
  }
  const std::int64_t q_width = std::int64_t{attention->heads_q} * attention->head_dim;
  const std::int64_t k_width = std::int64_t{attention->heads_k} * attention->head_dim;
  if (call.view && (call.view->q_offset + q_width > call.view->row_stride ||
                    call.view->k_offset + k_width > call.view->row_stride)) {
    return bad("call '{}': q or k lies beyond the view's row_stride {}", call.name,
               call.view->row_stride);
  }
  if (call.table.empty()) return {};

  const auto* table = find(model.tables, call.table);
  if (!table) return bad("call '{}': no table '{}'", call.name, call.table);
  const int channels = std::accumulate(table->axes.begin(), table->axes.end(), 2 * table->unturned);
  const int heads = table->per_head ? attention->heads_q : 1;
  if (channels != heads * attention->rope_dim) {
    return bad("call '{}': table '{}' has {} channels, {} x rope_dim is {}", call.name, table->name,
               channels, heads, heads * attention->rope_dim);
  }
  if (table->per_head && attention->heads_q != attention->heads_k) {
    return bad("call '{}': table '{}' is per head, but q and k have different heads", call.name,
               table->name);
  }
  if (table->rows == TableBy::position && call.positions == Positions::implicit) {
    return bad("call '{}': table '{}' has rows by position: positions must be int64 or int32",
               call.name, table->name);
  }
  const auto& rows = table->segments;
  if (std::search(rows.begin(), rows.end(), call.segments.begin(), call.segments.end()) ==
      rows.end()) {
    return bad("call '{}': its segments are no neighbours, in this order, in table '{}'", call.name,
               table->name);
  }
  return {};
}

}  // namespace

Result<void> check_references(const Model& model) {
  for (auto result :
       {check_unique(model.attentions, "attentions"), check_unique(model.segments, "segments"),
        check_unique(model.tables, "tables"), check_unique(model.calls, "calls"),
        check_segments(model)}) {
    if (!result) return result;
  }
  for (const auto& table : model.tables) {
    if (auto result = check_table(model, table); !result) return result;
  }
  for (const auto& call : model.calls) {
    if (auto result = check_call(model, call); !result) return result;
  }
  return {};
}

}  // namespace qkjit
