// Computed angles give the bytes of the CPU path, in the fused and in the generic kernel, in every
// form that they have.
#include <set>
#include <utility>

#include "spec/support.hpp"
#include "spec/text.hpp"
#include "tests/catch.hpp"
#include "tests/simt/paths.hpp"
#include "tests/simt/rope_forms.hpp"
#include "tests/support/norm_specs.hpp"

using namespace qkjit;
using namespace qkjit::simt;
using test::kNormSpecs;
using test::Problem;

namespace {

/// A form of the list of rope forms without its table, under the norm of a row of kNormSpecs.
constexpr Spec computed_spec(std::size_t norm, int form) {
  const Spec from = kNormSpecs[norm % kNormSpecs.size()].spec();
  Spec spec = form_spec(form % kForms);
  spec.q_norm = from.q_norm, spec.k_norm = from.k_norm;
  spec.weight = from.weight, spec.bias = from.bias;
  spec.weight_dtype = from.weight_dtype, spec.norm_order = from.norm_order;
  spec.table = DType::fp32, spec.table_width = TableWidth::half;
  spec.angles = Angles::computed;
  return spec;
}

/// Those that the fused kernel runs; the norms are left at RMSNorm in every second.
constexpr int kComputed = 16;
constexpr Spec fused_computed_spec(int n) {
  return computed_spec(n % 2 == 0 ? 0 : static_cast<std::size_t>(3 * n), 8 * n + n / 9 + 1);
}

template <int... kNumber>
void check_all_fused(std::integer_sequence<int, kNumber...>) {
  (check_fused(fused_kernel<fused_computed_spec(kNumber)>(), kNumber), ...);
}

constexpr qkjit_frequencies kFrequencies[] = {
    {1e4, 1, 1, 0, 0, 1}, {5e5, 4, 1, 0, 0, 1}, {1e6, 1, 4, 2.5, 9, 1.1386294361119891}};

void check_generic(test::ProblemConfig config, std::size_t number) {
  config.frequencies = kFrequencies[number % 3];
  const Problem before(config);
  Problem after = before;
  const Operation operation = checked(after.args());
  REQUIRE(generic_kind(operation.spec).forms == Forms::computed);
  run_generic(operation);
  check_against_cpu("generic", before, after);
}

}  // namespace

TEST_CASE("computed angles: layouts, dtypes, positions, placements and sections are in the list") {
  std::set<std::pair<Layout, Positions>> positions;
  std::set<std::pair<Layout, Sections>> sections;
  std::set<std::pair<Layout, RopePlacement>> placements;
  std::set<std::pair<Layout, DType>> dtypes;
  for (int n = 0; n < kComputed; ++n) {
    const Spec spec = fused_computed_spec(n);
    CHECK(supports(spec)->dispatch.path == Path::fused);
    positions.emplace(spec.layout, spec.positions);
    sections.emplace(spec.layout, sections_of(spec));
    placements.emplace(spec.layout, spec.placement);
    dtypes.emplace(spec.layout, spec.dtype);
  }
  CHECK(positions.size() == 2 * 3);
  CHECK(sections.size() == 2 * 4);
  CHECK(placements.size() == 2 * 2);
  CHECK(dtypes.size() == 2 * 3);
}

TEST_CASE("computed angles, fused: the bytes of the CPU path") {
  check_all_fused(std::make_integer_sequence<int, kComputed>());
}

TEST_CASE("computed angles, fused: lanes that share them, and that cannot, in any variant") {
  constexpr auto kSpec = [](int head_dim, int rope_dim, Layout layout,
                            RopePlacement placement = RopePlacement::head) {
    return Spec{.head_dim = head_dim,
                .rope_dim = rope_dim,
                .layout = layout,
                .dtype = DType::bf16,
                .placement = placement,
                .angles = Angles::computed};
  };
  constexpr Layout kNeox = Layout::neox, kInterleaved = Layout::interleaved;
  constexpr RopePlacement kTail = RopePlacement::tail;
  STATIC_REQUIRE(share_of_angles(kSpec(128, 128, kNeox)) == 2);
  STATIC_REQUIRE(shares_angles(kSpec(128, 128, kNeox)));
  STATIC_REQUIRE_FALSE(shares_angles(kSpec(128, 126, kInterleaved)));  // 63 angles, 2 a lane
  STATIC_REQUIRE_FALSE(shares_angles(kSpec(512, 512, kNeox)));         // 8 a lane
  constexpr Variant kFew = {.lanes = 4, .rows = 2, .threads = 64};
  constexpr Variant kShuffle = {
      .lanes = 16, .rows = 3, .threads = 96, .pairing = Pairing::shuffle, .pdl = true};
  constexpr Variant kExchange = {
      .lanes = 8, .rows = 1, .threads = 32, .span = Span::token, .pairing = Pairing::exchange};
  constexpr Variant kNine = {.lanes = 9, .rows = 2, .threads = 64, .staging = Staging::bulk};
  constexpr Variant kTwelve = {.lanes = 12, .rows = 2, .threads = 32};
  check_fused(fused_kernel<kSpec(128, 128, kNeox), kFew>(), 0);
  check_fused(fused_kernel<kSpec(128, 128, kNeox), kShuffle>(), 1);
  check_fused(fused_kernel<kSpec(128, 128, kNeox), kExchange>(), 2);
  check_fused(fused_kernel<kSpec(128, 128, kInterleaved), kShuffle>(), 3);
  check_fused(fused_kernel<kSpec(128, 126, kInterleaved), kExchange>(), 4);
  check_fused(fused_kernel<kSpec(128, 126, kNeox), kShuffle>(), 5);
  check_fused(fused_kernel<kSpec(72, 72, kNeox), kNine>(), 6);
  check_fused(fused_kernel<kSpec(72, 72, kInterleaved), kNine>(), 7);
  check_fused(fused_kernel<kSpec(96, 24, kNeox, kTail), kTwelve>(), 8);
  check_fused(fused_kernel<kSpec(96, 20, kInterleaved), kTwelve>(), 9);
  check_fused(fused_kernel<kSpec(256, 256, kInterleaved)>(), 10);
  check_fused(fused_kernel<kSpec(256, 160, kNeox, kTail)>(), 11);
  check_fused(fused_kernel<kSpec(512, 512, kNeox)>(), 12);
  check_fused(fused_kernel<kSpec(512, 512, kInterleaved)>(), 13);
  check_fused(fused_kernel<kSpec(8, 8, kNeox)>(), 14);
  check_fused(fused_kernel<kSpec(8, 2, kInterleaved)>(), 15);
}

TEST_CASE("computed angles, generic: the bytes of the CPU path under every norm") {
  for (std::size_t norm = 0; norm < kNormSpecs.size(); ++norm) {
    for (int i = 0; i < 3; ++i) {
      const Spec spec = normalized(computed_spec(norm, static_cast<int>(5 * norm) + 11 * i));
      INFO(to_text(spec));
      REQUIRE(supports(spec).has_value());
      check_generic(config_of_cycle(spec, norm, static_cast<std::size_t>(i)), norm);
    }
  }
}

TEST_CASE("computed angles, generic: the bytes of the CPU path in all shapes") {
  std::size_t number = 0;
  for (const int head_dim : {2, 7, 15, 40, 65, 72, 100, 128, 257, 264, 512, 1000, 1024}) {
    for (const int rope_dim : {2, 24, 64, head_dim / 2 * 2, head_dim / 2 / 2 * 2}) {
      if (rope_dim == 0 || rope_dim > head_dim) continue;
      for (int i = 0; i < 2 * 2 * 4; ++i, ++number) {
        Spec spec{.head_dim = head_dim,
                  .rope_dim = rope_dim,
                  .layout = static_cast<Layout>(i % 2),
                  .dtype = static_cast<DType>(number / 5 % 3),
                  .rounding = static_cast<Rounding>(number % 7),
                  .positions = static_cast<Positions>(number % 2),
                  .placement = static_cast<RopePlacement>(i / 2 % 2),
                  .angles = Angles::computed};
        if (rope_dim >= 24) {
          spec = with_sections(spec, static_cast<Sections>(i / 4));
        } else if (number % 3 == 0) {
          spec.positions = Positions::implicit;
        }
        auto config = config_of_cycle(spec, number, number % kCycle);
        config.tokens = 2;
        config.misalignment = static_cast<int>(number % 3);
        check_generic(config, number);
      }
    }
  }
}
