// Specs with tables of heads' own, grids, segments and checked positions, over the list of rope
// forms.
#pragma once

#include "tests/simt/rope_forms.hpp"

namespace qkjit::simt {

inline constexpr int kPositionForms = 30;

/// Form `n`: the kinds of positions take turns, and beside them heads' tables and checks.
constexpr Spec position_spec(int n) {
  Spec spec = form_spec((4 * n + n / 7) % kForms);
  spec.positions = static_cast<Positions>((n + n / 5) % 5);
  spec.table_heads = static_cast<TableHeads>((n / 2 + n / 10) % 2);
  const bool has_axes =
      spec.positions != Positions::implicit && spec.positions != Positions::segments;
  if (!has_axes) {
    spec.section_order = SectionOrder::contiguous;
    for (int& section : spec.sections) section = 0;
  } else if (spec.positions == Positions::grid) {
    spec.section_order = SectionOrder::contiguous;
    spec = with_sections(spec, static_cast<Sections>(1 + (n / 5 + n) % 3));
  }
  const bool is_read = spec.positions != Positions::implicit && spec.positions != Positions::grid;
  if (is_read && n / 3 % 2 == 0) spec.bounds = Bounds::checked;
  return spec;
}

}  // namespace qkjit::simt
