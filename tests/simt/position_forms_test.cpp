// Tables of heads' own, grids, segments and checked positions give the bytes of the CPU path, in
// the fused and in the generic kernel.
#include "tests/simt/position_forms.hpp"

#include <set>
#include <utility>

#include "spec/support.hpp"
#include "spec/text.hpp"
#include "tests/catch.hpp"
#include "tests/simt/paths.hpp"
#include "tests/support/batch_forms.hpp"

using namespace qkjit;
using namespace qkjit::simt;
using test::Problem;
using test::ProblemConfig;

namespace {

template <int kBegin, int... kNumber>
void check_all_fused(std::integer_sequence<int, kNumber...>) {
  (check_fused(fused_kernel<position_spec(kBegin + kNumber)>(), kBegin + kNumber), ...);
}

void check_generic(const ProblemConfig& config) {
  const Problem before(config);
  Problem after = before;
  run_generic(checked(after.args()));
  check_against_cpu("generic", before, after);
}

constexpr Spec with_tables(Spec spec) {
  spec.table_heads = TableHeads::per_head;
  return spec;
}
constexpr Spec across(Spec spec) {
  spec.norm_scope = NormScope::token;
  return spec;
}

/// Few heads and more than a block holds, of a kernel whose blocks have a token's q, or its k.
void check_by_token(const FusedKernel& kernel, std::size_t number) {
  constexpr int kHeads[][2] = {{1, 1}, {5, 3}, {3, 40}, {32, 32}};
  for (std::size_t i = 0; i < kCycle; ++i) {
    ProblemConfig config = config_of_cycle(kernel.spec, number, i);
    config.tokens = 4;
    config.heads_q = kHeads[i % 4][0], config.heads_k = kHeads[i % 4][1];
    config.head_major_table = i % 3 != 0;
    const Problem before(config);
    Problem after = before;
    const Operation operation = checked(after.args());
    CHECK(operation.aligned);
    kernel.run(fused_launch(operation, kernel.variant));
    check_against_cpu("fused, " + to_text(kernel.variant), before, after);
    config.misalignment = static_cast<int>(i % 3);
    check_generic(config);
  }
}

}  // namespace

TEST_CASE("position forms: kinds of positions meet heads' tables, layouts and checks") {
  std::set<std::pair<Positions, TableHeads>> tables;
  std::set<std::pair<Positions, Layout>> layouts;
  std::set<std::pair<Positions, Bounds>> bounds;
  std::set<std::pair<TableHeads, Layout>> heads;
  std::set<std::pair<TableHeads, DType>> dtypes;
  std::set<std::pair<TableHeads, TableWidth>> widths;
  std::set<std::pair<TableHeads, RopePlacement>> placements;
  for (int n = 0; n < kPositionForms; ++n) {
    const Spec spec = position_spec(n);
    INFO(to_text(spec));
    REQUIRE(supports(spec).has_value());
    CHECK(supports(spec)->dispatch.path == Path::fused);
    CHECK(normalized(spec) == spec);
    tables.emplace(spec.positions, spec.table_heads);
    layouts.emplace(spec.positions, spec.layout);
    bounds.emplace(spec.positions, spec.bounds);
    heads.emplace(spec.table_heads, spec.layout);
    dtypes.emplace(spec.table_heads, spec.table);
    widths.emplace(spec.table_heads, spec.table_width);
    placements.emplace(spec.table_heads, spec.placement);
  }
  CHECK(tables.size() == 5 * 2);
  CHECK(layouts.size() == 5 * 2);
  CHECK(bounds.size() == 3 * 2 + 2);
  CHECK(heads.size() == 2 * 2);
  CHECK(dtypes.size() == 2 * 3);
  CHECK(widths.size() == 2 * 2);
  CHECK(placements.size() == 2 * 2);
}

TEST_CASE("position forms, fused: the first give the bytes of the CPU path") {
  check_all_fused<0>(std::make_integer_sequence<int, kPositionForms / 2>());
}
TEST_CASE("position forms, fused: the others give the bytes of the CPU path") {
  check_all_fused<kPositionForms / 2>(std::make_integer_sequence<int, kPositionForms / 2>());
}

TEST_CASE("position forms, fused: heads' tables in other variants give the bytes of the CPU path") {
  constexpr Spec kNeox = with_tables({128, 128, Layout::neox, DType::bf16});
  constexpr Spec kPairs = with_tables({72, 40, Layout::interleaved, DType::fp32});
  constexpr Variant kShuffle = {
      .lanes = 16, .rows = 3, .threads = 96, .pairing = Pairing::shuffle, .pdl = true};
  constexpr Variant kExchange = {
      .lanes = 8, .rows = 2, .threads = 32, .span = Span::token, .pairing = Pairing::exchange};
  constexpr Variant kNine = {.lanes = 9, .rows = 2, .threads = 64, .staging = Staging::bulk};
  check_fused(fused_kernel<kNeox, kShuffle>(), 0);
  check_fused(fused_kernel<kNeox, kExchange>(), 1);
  check_fused(fused_kernel<kPairs, kNine>(), 2);
  constexpr Spec kElements = with_tables({.head_dim = 64,
                                          .rope_dim = 64,
                                          .layout = Layout::neox,
                                          .rounding = Rounding::eager,
                                          .table = DType::bf16,
                                          .table_width = TableWidth::elements});
  check_fused(fused_kernel<kElements>(), 3);
}

TEST_CASE(
    "position forms: heads' tables under a norm across heads give the bytes of the CPU path") {
  constexpr Spec kVideo = across(with_tables({.head_dim = 128,
                                              .rope_dim = 128,
                                              .layout = Layout::neox,
                                              .positions = Positions::implicit,
                                              .table = DType::bf16}));
  constexpr Spec kAudio = across(with_tables({64, 64, Layout::neox, DType::bf16, Rounding::split}));
  constexpr Spec kAfter = across(with_tables({.head_dim = 80,
                                              .rope_dim = 40,
                                              .dtype = DType::fp16,
                                              .rounding = Rounding::hf_eager,
                                              .norm_order = NormOrder::after}));
  constexpr Variant kSmall = {.lanes = 8, .rows = 2, .threads = 64, .span = Span::token};
  check_by_token(fused_kernel<kVideo>(), 0);
  check_by_token(fused_kernel<kVideo, kSmall>(), 1);
  check_by_token(fused_kernel<kAudio>(), 2);
  check_by_token(fused_kernel<kAfter>(), 3);
  constexpr Spec kWeights = with_tables({.head_dim = 64,
                                         .rope_dim = 48,
                                         .layout = Layout::neox,
                                         .q_norm = Norm::layer,
                                         .k_norm = Norm::none,
                                         .weights = Weights::per_head});
  check_by_token(fused_kernel<kWeights>(), 4);
}

TEST_CASE("position forms: grids and segments by token, and with computed angles") {
  constexpr Spec kWan = across(
      {.head_dim = 128, .rope_dim = 128, .positions = Positions::grid, .sections = {22, 21, 21}});
  constexpr Spec kComputed{.head_dim = 64,
                           .rope_dim = 64,
                           .layout = Layout::neox,
                           .positions = Positions::grid,
                           .sections = {12, 10, 10},
                           .angles = Angles::computed};
  constexpr Spec kRagged{
      .head_dim = 64, .rope_dim = 48, .positions = Positions::segments, .angles = Angles::computed};
  check_by_token(fused_kernel<kWan>(), 0);
  check_fused(fused_kernel<kComputed>(), 1);
  check_fused(fused_kernel<across(kRagged)>(), 2);
  check_fused(fused_kernel<kRagged>(), 3);
  for (std::size_t i = 0; i < kCycle; ++i) {
    check_generic(config_of_cycle(kComputed, i, i));
    check_generic(config_of_cycle(kRagged, i, i));
  }
}

TEST_CASE(
    "position forms: sequences of a batch fill a grid each, and have heads' tables in common") {
  constexpr Spec kGrid = with_tables(
      {.head_dim = 64, .rope_dim = 64, .positions = Positions::grid, .sections = {12, 10, 10}});
  constexpr auto kStrided = [](Spec spec) {
    spec.batch = Batch::strided;
    return spec;
  };
  constexpr Spec kChecked{.head_dim = 64,
                          .rope_dim = 48,
                          .layout = Layout::neox,
                          .table_heads = TableHeads::per_head,
                          .bounds = Bounds::checked};
  const FusedKernel grid = fused_kernel<kStrided(kGrid)>();
  const FusedKernel folded = fused_kernel<kGrid>();
  const FusedKernel checks = fused_kernel<kStrided(kChecked)>();
  const auto run = [](const FusedKernel* kernel, const ProblemConfig& config) {
    const Problem before(config);
    Problem after = before;
    const Operation operation = checked(after.args());
    kernel ? kernel->run(fused_launch(operation, kernel->variant)) : run_generic(operation);
    check_against_cpu(kernel ? "fused" : "generic", before, after);
  };
  for (std::size_t i = 0; i < test::kBatchForms; ++i) {
    ProblemConfig config = config_of_cycle(checks.spec, i, i % kCycle);
    config.tokens = 7;
    run(&checks, test::with_batches(config, i));
    run(nullptr, test::with_batches(config, i));
    config.spec = grid.spec, config.batches = 3, config.gap_of_batches = i % 2 == 0;
    config.tokens = 12;
    run(&grid, config);
    run(nullptr, config);
    config.spec = folded.spec;
    if (checked(Problem(config).args()).is_folded) run(&folded, config);
    run(nullptr, config);
  }
}

TEST_CASE("position forms, generic: the bytes of the CPU path in all shapes") {
  std::size_t number = 0;
  for (const int head_dim : {2, 7, 24, 65, 72, 100, 128, 257, 264, 512, 1000}) {
    for (const int rope_dim : {2, 24, head_dim / 2 * 2, head_dim / 4 * 2}) {
      if (rope_dim == 0 || rope_dim > head_dim) continue;
      for (int i = 0; i < 10; ++i, ++number) {
        Spec spec = position_spec(static_cast<int>(number) % kPositionForms);
        spec.head_dim = head_dim, spec.rope_dim = rope_dim;
        if (has_sections(spec)) {
          if (rope_dim < 24) continue;
          spec = with_sections(spec, sections_of(position_spec(number % kPositionForms)));
        }
        if (number % 7 == 0) spec.norm_scope = NormScope::token;
        spec = normalized(spec);
        INFO(to_text(spec));
        REQUIRE(supports(spec).has_value());
        ProblemConfig config = config_of_cycle(spec, number, number % kCycle);
        config.tokens = 6;
        config.misalignment = static_cast<int>(number % 3);
        config.table_gap = static_cast<int>(number % 4);
        config.head_major_table = number % 5 > 1;
        check_generic(config);
      }
    }
  }
}
