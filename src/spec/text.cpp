#include "spec/text.hpp"

#include <algorithm>

#include "spec/fields.hpp"

namespace qkjit {
namespace {

/// One field for q and k, such as norm. The fields of each say it where they differ.
template <class E>
Field<Spec> common_field(std::string_view name, E Spec::*of_q, E Spec::*of_k,
                         std::vector<std::string_view> of_each) {
  Field<Spec> field = enum_field(name, of_q, false);
  field.parse = [=, parse_q = field.parse](std::string_view value, Spec& to) -> Result<void> {
    auto parsed = parse_q(value, to);
    to.*of_k = to.*of_q;
    return parsed;
  };
  field.is_default = [=](const Spec& from) {
    return from.*of_q != from.*of_k || from.*of_q == Spec{}.*of_q;
  };
  field.not_with = std::move(of_each);
  return field;
}

/// `own` is that of q or of k.
template <class E>
Field<Spec> single_field(std::string_view name, E Spec::*own, E Spec::*of_q, E Spec::*of_k,
                         std::string_view common) {
  Field<Spec> field = enum_field(name, own, false);
  field.is_default = [=](const Spec& from) { return from.*of_q == from.*of_k; };
  field.not_with = {common};
  return field;
}

/// In canonical order. A new field of Spec needs a line here.
const std::vector<Field<Spec>>& fields() {
  static const std::vector<Field<Spec>> all = {
      integer_field("head_dim", &Spec::head_dim, true),
      integer_field("rope_dim", &Spec::rope_dim, true),
      enum_field("layout", &Spec::layout, true),
      enum_field("dtype", &Spec::dtype, true),
      enum_field("rounding", &Spec::rounding, false),
      enum_field("positions", &Spec::positions, false),
      common_field("norm", &Spec::q_norm, &Spec::k_norm, {"q_norm", "k_norm"}),
      single_field("q_norm", &Spec::q_norm, &Spec::q_norm, &Spec::k_norm, "norm"),
      single_field("k_norm", &Spec::k_norm, &Spec::q_norm, &Spec::k_norm, "norm"),
      enum_field("weight", &Spec::weight, false),
      enum_field("bias", &Spec::bias, false),
      enum_field("weight_dtype", &Spec::weight_dtype, false),
      enum_field("norm_order", &Spec::norm_order, false),
      enum_field("table", &Spec::table, false),
      enum_field("table_width", &Spec::table_width, false),
      enum_field("placement", &Spec::placement, false),
      integers_field("sections", &Spec::sections),
      enum_field("section_order", &Spec::section_order, false),
      enum_field("norm_scope", &Spec::norm_scope, false),
      enum_field("angles", &Spec::angles, false),
      enum_field("weights", &Spec::weights, false),
      enum_field("batch", &Spec::batch, false),
      enum_field("v", &Spec::v, false),
      enum_field("table_heads", &Spec::table_heads, false),
      enum_field("bounds", &Spec::bounds, false),
      common_field("out", &Spec::q_out, &Spec::k_out, {"q_out", "k_out"}),
      single_field("q_out", &Spec::q_out, &Spec::q_out, &Spec::k_out, "out"),
      single_field("k_out", &Spec::k_out, &Spec::q_out, &Spec::k_out, "out"),
      enum_field("out_scale", &Spec::out_scale, false),
      enum_field("cache", &Spec::cache, false),
      enum_field("slots", &Spec::slots, false),
  };
  return all;
}

}  // namespace

std::string to_text(const Spec& spec) { return fields_to_text(fields(), spec); }

Result<Spec> parse_spec(std::string_view text) {
  auto spec = parse_fields(fields(), "spec", text);
  if (!spec) return spec;
  return normalized(*spec);
}

std::vector<SpecField> spec_fields() {
  std::vector<SpecField> all;
  for (const Field<Spec>& field : fields()) {
    all.push_back({field.name, field.values, field.required ? "" : field.print({})});
  }
  return all;
}

Spec normalized(Spec spec) {
  const Spec defaults;
  if (spec.rope_dim == 0) {
    spec.layout = Layout::interleaved, spec.positions = Positions::implicit;
    spec.norm_order = defaults.norm_order;
    spec.table = defaults.table, spec.table_width = defaults.table_width;
    std::ranges::copy(defaults.sections, spec.sections);
    spec.angles = defaults.angles;
    spec.table_heads = defaults.table_heads, spec.bounds = defaults.bounds;
  }
  if (spec.rope_dim == 0 || spec.rope_dim == spec.head_dim) spec.placement = defaults.placement;
  if (std::ranges::equal(spec.sections, defaults.sections)) {
    spec.section_order = defaults.section_order;
  }
  if (!has_norm(spec)) {
    // What goes to FP8 is rounded to the dtype first, or is not.
    const bool rounds = has_fp8(spec) && spec.rounding != Rounding::fused;
    spec.rounding = rotates_eagerly(spec.rounding) ? Rounding::eager
                    : rounds                       ? Rounding::split
                                                   : Rounding::fused;
    spec.weight = defaults.weight, spec.norm_order = defaults.norm_order;
    spec.norm_scope = defaults.norm_scope;
  }
  const bool reads_weights = has_norm(spec) && spec.weight != Weight::none;
  const bool is_same = dtype_of_weights(spec) == spec.dtype;
  const bool has_vectors = reads_weights || spec.bias == Bias::yes;
  if (is_same || !has_vectors) spec.weight_dtype = WeightDType::same;
  if (norms_across_heads(spec) || !has_vectors) spec.weights = defaults.weights;
  if (!has_fp8(spec)) spec.out_scale = defaults.out_scale;
  if (spec.cache == Cache::none) spec.slots = defaults.slots;
  return spec;
}

}  // namespace qkjit
