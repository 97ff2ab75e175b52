// Every form of table, placement and positions gives the bytes of the CPU path, in the fused and in
// the generic kernel.
#include "tests/simt/rope_forms.hpp"

#include <array>
#include <set>
#include <utility>

#include "spec/support.hpp"
#include "tests/catch.hpp"
#include "tests/simt/paths.hpp"

using namespace qkjit;
using namespace qkjit::simt;

namespace {

template <int kBegin, int kEnd>
void check_forms() {
  [&]<int... kNumber>(std::integer_sequence<int, kNumber...>) {
    (check_fused(fused_kernel<form_spec(kBegin + kNumber)>(), kNumber), ...);
  }
  (std::make_integer_sequence<int, kEnd - kBegin>());
}

/// How many different values `project` has over the list.
template <class Project>
std::size_t distinct(Project project) {
  std::set<decltype(project(Spec{}))> values;
  for (int n = 0; n < kForms; ++n) values.insert(project(form_spec(n)));
  return values.size();
}

}  // namespace

TEST_CASE("rope forms: all pairs of fields occur in the list") {
  const auto with = [](auto a) {
    const auto pair = [=](auto b) {
      return distinct([=](const Spec& spec) { return std::pair(a(spec), spec.*b); });
    };
    return std::array{pair(&Spec::layout),    pair(&Spec::dtype), pair(&Spec::rounding),
                      pair(&Spec::positions), pair(&Spec::table), pair(&Spec::table_width),
                      pair(&Spec::placement)};
  };
  using Counts = std::array<std::size_t, 7>;
  const auto field = [](auto member) { return [=](const Spec& spec) { return spec.*member; }; };
  CHECK(with(field(&Spec::table)) == Counts{6, 9, 15, 9, 3, 6, 6});
  CHECK(with(field(&Spec::table_width)) == Counts{4, 6, 10, 6, 6, 2, 4});
  CHECK(with(field(&Spec::placement)) == Counts{4, 6, 10, 6, 6, 4, 2});
  CHECK(with(sections_of) == Counts{8, 12, 20, 9, 12, 8, 8});  // none with implicit positions
  const auto shape = [](const Spec& spec) { return std::pair(spec.head_dim, spec.rope_dim); };
  CHECK(with(shape)[0] == 2 * 9);
  CHECK(with(shape)[4] == 3 * 9);
  CHECK(with(shape)[5] == 2 * 9);
  CHECK(distinct([&](const Spec& s) { return std::pair(shape(s), sections_of(s)); }) == 4 * 9);
  for (int n = 0; n < kForms; ++n) CHECK(supports(form_spec(n))->dispatch.path == Path::fused);
}

TEST_CASE("rope forms, fused: the first give the bytes of the CPU path") { check_forms<0, 15>(); }
TEST_CASE("rope forms, fused: the next give the bytes of the CPU path") { check_forms<15, 30>(); }
TEST_CASE("rope forms, fused: the last give the bytes of the CPU path") {
  check_forms<30, kForms>();
}

TEST_CASE("rope forms, fused: pairs of a rotated tail meet in shorter runs of lanes") {
  constexpr Spec kSpec{
      .head_dim = 512, .rope_dim = 64, .layout = Layout::neox, .placement = RopePlacement::tail};
  STATIC_REQUIRE(neox_run(kSpec, 32) == 4);
  constexpr Spec kAcross{
      .head_dim = 128, .rope_dim = 96, .layout = Layout::neox, .placement = RopePlacement::tail};
  STATIC_REQUIRE(neox_run(kAcross, 8) == 0);  // begins with the chunk of lane 4
  check_fused(fused_kernel<kSpec>(), 0);
  check_fused(fused_kernel<kAcross>(), 1);
}

TEST_CASE("rope forms, fused: an angle for each element gives the bytes of the CPU path") {
  constexpr auto kSpec = [](int head_dim, int rope_dim, DType table, Rounding rounding,
                            RopePlacement placement = RopePlacement::head) {
    return Spec{.head_dim = head_dim,
                .rope_dim = rope_dim,
                .layout = Layout::neox,
                .rounding = rounding,
                .table = table,
                .table_width = TableWidth::elements,
                .placement = placement};
  };
  constexpr RopePlacement kTail = RopePlacement::tail;
  check_fused(fused_kernel<kSpec(128, 128, DType::bf16, Rounding::eager)>(), 0);
  check_fused(fused_kernel<kSpec(128, 64, DType::fp32, Rounding::split, kTail)>(), 1);
  check_fused(fused_kernel<kSpec(72, 72, DType::fp16, Rounding::fused)>(), 2);
  check_fused(fused_kernel<kSpec(80, 20, DType::bf16, Rounding::hf)>(), 3);
  check_fused(fused_kernel<kSpec(512, 72, DType::fp32, Rounding::eager, kTail)>(), 4);
}

TEST_CASE("rope forms, generic: the bytes of the CPU path in all combinations and shapes") {
  std::size_t number = 0;
  for (const int head_dim : {2, 7, 8, 15, 40, 65, 72, 100, 128, 257, 264, 512, 1000, 1024}) {
    for (const int rope_dim : {2, 8, 24, 64, head_dim / 2 * 2, head_dim / 2 / 2 * 2}) {
      if (rope_dim == 0 || rope_dim > head_dim) continue;
      for (int i = 0; i < 2 * 3 * 2 * 4; ++i, ++number) {
        Spec spec{.head_dim = head_dim,
                  .rope_dim = rope_dim,
                  .layout = static_cast<Layout>(i % 2),
                  .dtype = static_cast<DType>(number / 5 % 3),
                  .rounding = static_cast<Rounding>(number % 5),
                  .positions = static_cast<Positions>(number % 2),
                  .table = static_cast<DType>(number / 2 % 3),
                  .table_width = static_cast<TableWidth>(i / 2 % 3),
                  .placement = static_cast<RopePlacement>(i / 6 % 2)};
        // Fewer angles than that leave a section empty.
        if (rope_dim >= 24) spec = with_sections(spec, static_cast<Sections>(i / 12));
        if (!supports(spec)) continue;  // a table by elements for other layouts or sections
        auto config = config_of_cycle(spec, number, number % kCycle);
        config.tokens = 2;
        config.misalignment = static_cast<int>(number % 3);
        config.table_gap = static_cast<int>(number % 4);
        const test::Problem before(config);
        test::Problem after = before;
        run_generic(checked(after.args()));
        check_against_cpu("generic", before, after);
      }
    }
  }
}
