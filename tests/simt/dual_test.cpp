// Two streams in one grid: the bytes that the CPU path gives each of them.
#include "tests/simt/simt.hpp"
// The shim comes before the kernels.
#include "kernels/dual.cuh"
#include "op/dual.hpp"
#include "tests/catch.hpp"
#include "tests/simt/paths.hpp"
#include "tests/support/output_forms.hpp"
#include "tuning/dual_choices.hpp"

using namespace qkjit;
using namespace qkjit::simt;
using test::Problem;
using test::ProblemConfig;

namespace {

/// Streams of different heads, tokens, tables and offsets, of more than a block each, but for the
/// text in the last one.
template <Spec kFirst, Spec kSecond, Variant kVariant = default_variant(kFirst)>
void check_dual(std::size_t number) {
  constexpr Variant kBeside = variant_beside(kFirst, kVariant, kSecond);
  for (std::size_t i = 0; i < kCycle; ++i) {
    ProblemConfig first = config_of_cycle(kFirst, number, i);
    ProblemConfig second = config_of_cycle(kSecond, number + 1, (i + 3) % kCycle);
    first.tokens = 3 + static_cast<std::int64_t>(number % 3);
    second.tokens = i == kCycle - 1 ? 1 : 9;
    if (kFirst.batch == Batch::strided) first = test::with_batches(first, i);
    if (kSecond.batch == Batch::strided) second = test::with_batches(second, i + 1);
    const Problem before_a(first), before_b(second);
    Problem a = before_a, b = before_b;
    const Operation of_a = checked(a.args()), of_b = checked(b.args());
    REQUIRE(check_apart(of_a, of_b).has_value());
    const bool fits =
        kVariant.staging == Staging::registers || (of_a.takes_bulk && of_b.takes_bulk);
    if (!fits) continue;
    const DualLaunch call = dual_launch(of_a, of_b, {kVariant, kBeside});
    launch(call.grid.blocks, call.grid.threads,
           [&] { dual<kFirst, kVariant, kSecond, kBeside>(call.params); });
    check_against_cpu("first stream", before_a, a);
    check_against_cpu("second stream", before_b, b);
  }
}

constexpr Spec kImage{.head_dim = 128, .rope_dim = 128, .layout = Layout::neox};
constexpr Spec kPairs{.head_dim = 64, .rope_dim = 48, .dtype = DType::fp16};

constexpr Spec with_batch(Spec spec, Batch batch) {
  spec.batch = batch;
  return spec;
}

}  // namespace

TEST_CASE("dual: streams of one spec share their code") {
  check_dual<kImage, kImage>(0);
  check_dual<kPairs, kPairs>(1);
  check_dual<kImage, kImage,
             Variant{.lanes = 16, .rows = 2, .threads = 64, .staging = Staging::bulk}>(2);
  check_dual<kPairs, kPairs,
             Variant{.lanes = 8, .rows = 1, .threads = 96, .span = Span::token, .pdl = true}>(3);
}

TEST_CASE("dual: streams of different specs") {
  constexpr Spec kText{.head_dim = 128, .rope_dim = 0, .positions = Positions::implicit};
  constexpr Spec kSmall{.head_dim = 72,
                        .rope_dim = 40,
                        .layout = Layout::neox,
                        .dtype = DType::fp32,
                        .rounding = Rounding::eager};
  check_dual<kImage, kText>(0);
  check_dual<kText, kImage>(1);
  check_dual<kPairs, kSmall>(2);
  check_dual<kSmall, kImage>(3);
}

TEST_CASE("dual: either stream with other outputs") {
  constexpr auto kFp8 = [](Spec spec) { return test::output_spec(spec, 9); };
  constexpr auto kPaged = [](Spec spec) { return test::output_spec(spec, 3); };
  check_dual<kFp8(kImage), kImage>(0);
  check_dual<kPairs, kPaged(kImage)>(1);
  check_dual<kPaged(kPairs), kPaged(kPairs)>(2);
}

TEST_CASE("dual: either stream in batches") {
  constexpr Spec kStrided = with_batch(kImage, Batch::strided);
  check_dual<kStrided, kImage>(0);
  check_dual<kPairs, kStrided>(1);
  check_dual<kStrided, kStrided>(2);
}
