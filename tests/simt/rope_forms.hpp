// Specs with every form of table, placement and positions, in which all pairs of values meet
// (rope_forms_test.cpp holds the list to that).
#pragma once

#include <initializer_list>

#include "kernels/spec.cuh"

namespace qkjit::simt {

/// How the angles of a spec are dealt to position axes.
enum class Sections { none, quads, uneven, interleaved };

constexpr Spec with_sections(Spec spec, Sections sections) {
  const int angles = spec.rope_dim / 2;
  const auto set = [&](int first, int second) {
    spec.sections[0] = first, spec.sections[1] = second;
    spec.sections[2] = angles - first - second;
  };
  const int quads = angles < 12 ? 4 : angles / 12 * 4;
  if (sections == Sections::quads) set(quads, quads);
  if (sections == Sections::uneven) set(angles / 3 + 1, angles / 4);
  if (sections == Sections::interleaved) {
    set(angles - 2 * (angles * 5 / 16), angles * 5 / 16);
    spec.section_order = SectionOrder::interleaved;
  }
  return spec;
}

constexpr Sections sections_of(const Spec& spec) {
  for (const Sections sections : {Sections::quads, Sections::uneven, Sections::interleaved}) {
    if (has_sections(spec) && with_sections(spec, sections) == spec) return sections;
  }
  return Sections::none;
}

struct FormShape {
  int head_dim, rope_dim;
};
inline constexpr FormShape kFormShapes[] = {{128, 128}, {128, 64}, {64, 48}, {72, 40}, {256, 64},
                                            {512, 64},  {80, 24},  {40, 24}, {80, 20}};

inline constexpr int kForms = 45;

/// Form `n` of the list: the fields take turns, each in a rhythm of its own. The fused kernel
/// serves all of them.
constexpr Spec form_spec(int n) {
  const FormShape shape = kFormShapes[n % 9];
  Spec spec{.head_dim = shape.head_dim,
            .rope_dim = shape.rope_dim,
            .layout = static_cast<Layout>((n + n / 2) % 2),
            .dtype = static_cast<DType>((5 * n + n / 9) % 3),
            .rounding = static_cast<Rounding>((4 * n + n / 6) % 5),
            .positions = static_cast<Positions>((2 * n + n / 6) % 3),
            .table = static_cast<DType>((6 * n + n / 7) % 3),
            .table_width = static_cast<TableWidth>((4 * n + n / 4) % 2),
            .placement = static_cast<RopePlacement>((4 * n + n / 7) % 2)};
  if (rotated_begin(spec) % kChunk != 0 || spec.rope_dim == spec.head_dim) {
    spec.placement = RopePlacement::head;
  }
  const auto sections = static_cast<Sections>((7 * n + n / 5) % 4);
  if (sections != Sections::none && spec.positions == Positions::implicit) {
    spec.positions = static_cast<Positions>(n % 2);
  }
  return with_sections(spec, sections);
}

}  // namespace qkjit::simt
