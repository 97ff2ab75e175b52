#include "codegen/initializer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <type_traits>

#include "spec/names.hpp"

namespace qkjit {
namespace {

/// Appends, where a format string for each field would be parsed at every lookup in the cache.
class Initializer {
 public:
  explicit Initializer(std::string_view type) {
    text_.reserve(512);
    text_.append("qkjit::").append(type).append(1, '{');
  }

  /// `type` is an enumeration's name.
  template <class T>
  Initializer& field(std::string_view name, T value, std::string_view type = {}) {
    begin(name);
    if constexpr (std::is_enum_v<T>) {
      text_.append("qkjit::").append(type).append("::").append(name_of(value));
    } else if constexpr (std::is_same_v<T, bool>) {
      text_.append(value ? "true" : "false");
    } else {
      add_integer(value);
    }
    return *this;
  }
  template <class T>
  Initializer& unless(T usual, std::string_view name, T value, std::string_view type = {}) {
    return value == usual ? *this : field(name, value, type);
  }
  template <std::size_t kCount>
  Initializer& unless(const int (&usual)[kCount], std::string_view name,
                      const int (&value)[kCount]) {
    if (std::ranges::equal(value, usual)) return *this;
    begin(name);
    for (std::size_t i = 0; i < kCount; ++i) {
      text_.append(i == 0 ? "{" : ", ");
      add_integer(value[i]);
    }
    text_ += '}';
    return *this;
  }

  std::string end() { return std::move(text_ += '}'); }

 private:
  void begin(std::string_view name) {
    text_.append(text_.back() == '{' ? "." : ", .").append(name).append(" = ");
  }
  void add_integer(int value) {
    const fmt::format_int digits(value);
    text_.append(digits.data(), digits.size());
  }

  std::string text_;
};

}  // namespace

// A new field needs a line here.
std::string initializer_of(const Spec& s) {
  const Spec usual;
  return Initializer("Spec")
      .field("head_dim", s.head_dim)
      .field("rope_dim", s.rope_dim)
      .field("layout", s.layout, "Layout")
      .field("dtype", s.dtype, "DType")
      .unless(usual.rounding, "rounding", s.rounding, "Rounding")
      .unless(usual.positions, "positions", s.positions, "Positions")
      .unless(usual.q_norm, "q_norm", s.q_norm, "Norm")
      .unless(usual.k_norm, "k_norm", s.k_norm, "Norm")
      .unless(usual.weight, "weight", s.weight, "Weight")
      .unless(usual.bias, "bias", s.bias, "Bias")
      .unless(usual.weight_dtype, "weight_dtype", s.weight_dtype, "WeightDType")
      .unless(usual.norm_order, "norm_order", s.norm_order, "NormOrder")
      .unless(usual.table, "table", s.table, "DType")
      .unless(usual.table_width, "table_width", s.table_width, "TableWidth")
      .unless(usual.placement, "placement", s.placement, "RopePlacement")
      .unless(usual.sections, "sections", s.sections)
      .unless(usual.section_order, "section_order", s.section_order, "SectionOrder")
      .unless(usual.norm_scope, "norm_scope", s.norm_scope, "NormScope")
      .unless(usual.angles, "angles", s.angles, "Angles")
      .unless(usual.weights, "weights", s.weights, "Weights")
      .unless(usual.batch, "batch", s.batch, "Batch")
      .unless(usual.v, "v", s.v, "Values")
      .unless(usual.table_heads, "table_heads", s.table_heads, "TableHeads")
      .unless(usual.bounds, "bounds", s.bounds, "Bounds")
      .unless(usual.q_out, "q_out", s.q_out, "Out")
      .unless(usual.k_out, "k_out", s.k_out, "Out")
      .unless(usual.out_scale, "out_scale", s.out_scale, "OutScale")
      .unless(usual.cache, "cache", s.cache, "Cache")
      .unless(usual.slots, "slots", s.slots, "Slots")
      .end();
}

std::string initializer_of(const Variant& v) {
  const Variant usual;
  return Initializer("Variant")
      .field("lanes", v.lanes)
      .field("rows", v.rows)
      .field("threads", v.threads)
      .unless(usual.blocks, "blocks", v.blocks)
      .unless(usual.span, "span", v.span, "Span")
      .unless(usual.pairing, "pairing", v.pairing, "Pairing")
      .unless(usual.staging, "staging", v.staging, "Staging")
      .unless(usual.load, "load", v.load, "Hint")
      .unless(usual.store, "store", v.store, "Hint")
      .unless(usual.pdl, "pdl", v.pdl)
      .end();
}

}  // namespace qkjit
