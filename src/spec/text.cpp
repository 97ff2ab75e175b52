#include "spec/text.hpp"

#include <algorithm>

#include "spec/fields.hpp"

namespace qkjit {
namespace {

/// In canonical order. A new field of Spec needs a line here.
const std::vector<Field<Spec>>& fields() {
  static const std::vector<Field<Spec>> all = {
      integer_field("head_dim", &Spec::head_dim, true),
      integer_field("rope_dim", &Spec::rope_dim, true),
      enum_field("layout", &Spec::layout, true),
      enum_field("dtype", &Spec::dtype, true),
      enum_field("rounding", &Spec::rounding, false),
      enum_field("positions", &Spec::positions, false),
      enum_field("norm", &Spec::norm, false),
      enum_field("table", &Spec::table, false),
      enum_field("table_width", &Spec::table_width, false),
      enum_field("placement", &Spec::placement, false),
      integers_field("sections", &Spec::sections),
      enum_field("section_order", &Spec::section_order, false),
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

Spec normalized(Spec spec) {
  const Spec defaults;
  if (spec.rope_dim == 0) {
    spec.layout = Layout::interleaved, spec.positions = Positions::implicit;
    spec.table = defaults.table, spec.table_width = defaults.table_width;
    std::ranges::copy(defaults.sections, spec.sections);
  }
  if (spec.rope_dim == 0 || spec.rope_dim == spec.head_dim) spec.placement = defaults.placement;
  if (std::ranges::equal(spec.sections, defaults.sections)) {
    spec.section_order = defaults.section_order;
  }
  if (spec.norm == Norm::none && spec.rounding != Rounding::eager) spec.rounding = Rounding::fused;
  return spec;
}

}  // namespace qkjit
