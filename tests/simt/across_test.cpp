// Norms across heads, and weights of each head's own: every variant and the generic kernel give the
// bytes of the CPU path, for few heads and for more than a block holds.
#include <algorithm>
#include <array>
#include <span>

#include "spec/support.hpp"
#include "spec/text.hpp"
#include "tests/catch.hpp"
#include "tests/simt/paths.hpp"

using namespace qkjit;
using namespace qkjit::simt;
using test::Problem;

namespace {

constexpr Spec across(int head_dim, int rope_dim, Layout layout, DType dtype,
                      Rounding rounding = Rounding::fused, Positions positions = Positions::int64) {
  Spec spec{head_dim, rope_dim, layout, dtype, rounding, positions};
  spec.norm_scope = NormScope::token;
  return spec;
}

constexpr Spec in_order(Spec spec, NormOrder order) {
  spec.norm_order = order;
  return spec;
}

constexpr Layout kNeox = Layout::neox, kInterleaved = Layout::interleaved;

/// Heads of q and of k.
using Heads = std::array<int, 2>;
constexpr Heads kFew[] = {{1, 1}, {5, 3}, {3, 40}, {48, 8}};

/// All strides, in place and out of place, with each number of heads.
template <class Run>
void check_heads(const Spec& spec, std::size_t number, std::span<const Heads> heads, Run run) {
  for (std::size_t i = 0; i < kCycle; ++i) {
    auto config = config_of_cycle(spec, number, i);
    config.tokens = 3;
    config.heads_q = heads[i % heads.size()][0], config.heads_k = heads[i % heads.size()][1];
    run(config);
  }
}

/// Rows have to be without gaps where they are staged, and staged where a warp has all of them.
bool takes(const FusedKernel& kernel, const Operation& operation, TeamSize team) {
  const bool is_staged = kernel.variant.staging != Staging::registers;
  const auto most = static_cast<int>(std::max(operation.params.q.heads, operation.params.k.heads));
  const bool fits = staged_token_bytes(kernel.spec, most) <= kMostStagedTokenBytes;
  return is_staged ? operation.takes_bulk && (team == TeamSize::block || fits)
                   : team == TeamSize::block;
}

void check_variant_of(const FusedKernel& kernel, std::size_t number,
                      std::span<const Heads> heads = kFew) {
  REQUIRE(check_variant(kernel.spec, kernel.variant, "sm_90"));
  check_heads(kernel.spec, number, heads, [&](const test::ProblemConfig& config) {
    const Problem before(config);
    for (const TeamSize team : {TeamSize::block, TeamSize::warp}) {
      Problem after = before;
      const Operation operation = checked(after.args());
      CHECK(operation.aligned);
      if (!takes(kernel, operation, team)) continue;
      kernel.run(launch_of_teams(operation, kernel.variant, team));
      check_against_cpu("fused across heads, " + to_text(kernel.variant), before, after);
    }
  });
}

void check_generic(const Spec& spec, std::size_t number, int misalignment,
                   std::span<const Heads> heads = kFew) {
  check_heads(spec, number, heads, [&](test::ProblemConfig config) {
    config.misalignment = misalignment;
    const Problem before(config);
    Problem after = before;
    run_generic(checked(after.args()));
    check_against_cpu("generic across heads", before, after);
  });
}

/// One after another turn of few heads, and all heads at once.
template <Spec kSpec, int kLanes>
void check_lanes(std::size_t number) {
  constexpr Variant kOneWarp{.lanes = kLanes, .rows = 1, .threads = 32, .span = Span::token};
  constexpr Variant kTwoRows{.lanes = kLanes,
                             .rows = 2,
                             .threads = 96,
                             .span = Span::token,
                             .pairing = Pairing::exchange,
                             .load = Hint::streaming,
                             .pdl = true};
  constexpr Variant kWide{.lanes = kLanes,
                          .rows = 3,
                          .threads = 512,
                          .span = Span::token,
                          .pairing = Pairing::shuffle,
                          .store = Hint::normal};
  constexpr Variant kStaged{.lanes = kLanes,
                            .rows = 1,
                            .threads = 128,
                            .span = Span::token,
                            .staging = Staging::bulk_load,
                            .pdl = true};
  constexpr Variant kStagedTwo{
      .lanes = kLanes, .rows = 2, .threads = 64, .span = Span::token, .staging = Staging::bulk};
  check_variant_of(fused_kernel<kSpec, kOneWarp>(), number);
  check_variant_of(fused_kernel<kSpec, kStaged>(), number + 3);
  check_variant_of(fused_kernel<kSpec, kStagedTwo>(), number + 4);
  check_variant_of(fused_kernel<kSpec, kTwoRows>(), number + 1);
  check_variant_of(fused_kernel<kSpec, kWide>(), number + 2);
}

}  // namespace

TEST_CASE("across heads, fused: the models' shapes give the bytes of the CPU path", "[across]") {
  constexpr Heads kWan[] = {{12, 12}, {40, 40}}, kOlmo[] = {{32, 32}, {40, 8}};
  constexpr Heads kMiniMax[] = {{48, 8}, {6, 1}};
  check_variant_of(fused_kernel<across(128, 128, kInterleaved, DType::bf16, Rounding::split,
                                       Positions::implicit)>(),
                   0, kWan);
  check_variant_of(
      fused_kernel<across(128, 128, kNeox, DType::bf16, Rounding::late_weight_eager)>(), 1, kOlmo);
  check_variant_of(fused_kernel<across(128, 64, kNeox, DType::bf16, Rounding::hf)>(), 2, kMiniMax);
  check_variant_of(fused_kernel<across(32, 0, kInterleaved, DType::fp16, Rounding::split,
                                       Positions::implicit)>(),
                   3, kWan);
}

TEST_CASE("across heads, fused: 12,288 elements of a token and more", "[across]") {
  constexpr Heads kMany[] = {{96, 8}, {300, 129}};
  constexpr Spec kSpec = across(128, 128, kInterleaved, DType::bf16, Rounding::split);
  constexpr Variant kSmall{.lanes = 16, .rows = 2, .threads = 256, .span = Span::token};
  check_variant_of(fused_kernel<kSpec>(), 0, kMany);
  constexpr Variant kStaged{
      .lanes = 16, .rows = 1, .threads = 128, .span = Span::token, .staging = Staging::bulk_load};
  check_variant_of(fused_kernel<kSpec, kSmall>(), 4, kMany);
  check_variant_of(fused_kernel<kSpec, kStaged>(), 5, kMany);
  check_generic(kSpec, 2, 0, kMany);
  constexpr Spec kWide = across(128, 128, kNeox, DType::fp32);  // whose bits show every order
  check_variant_of(fused_kernel<kWide>(), 1, kMany);
  check_generic(kWide, 3, 0, kMany);
}

TEST_CASE("across heads, fused: every variant gives the bytes of the CPU path", "[across]") {
  check_lanes<across(64, 64, kNeox, DType::bf16, Rounding::eager), 4>(0);
  check_lanes<across(64, 64, kInterleaved, DType::fp32, Rounding::fused), 8>(1);
  check_lanes<in_order(across(80, 40, kNeox, DType::fp16, Rounding::hf_eager), NormOrder::after),
              10>(2);
  check_lanes<in_order(across(40, 40, kInterleaved, DType::bf16, Rounding::late_weight),
                       NormOrder::after),
              5>(3);
  check_lanes<across(256, 96, kNeox, DType::bf16, Rounding::hf), 16>(4);
  check_lanes<across(24, 0, kInterleaved, DType::fp16, Rounding::split, Positions::implicit), 1>(5);
}

TEST_CASE("across heads, fused: a tensor without a norm, weights of other kinds", "[across]") {
  constexpr auto kSpec = [](Norm q_norm, Norm k_norm, Weight weight, WeightDType weight_dtype) {
    Spec spec = across(72, 40, kNeox, DType::bf16, Rounding::late_weight);
    spec.q_norm = q_norm, spec.k_norm = k_norm;
    spec.weight = weight, spec.weight_dtype = weight_dtype;
    spec.table = DType::bf16, spec.placement = RopePlacement::tail;
    return spec;
  };
  constexpr Variant kSmall{.lanes = 9, .rows = 1, .threads = 64, .span = Span::token};
  constexpr Norm kRms = Norm::rms, kNone = Norm::none;
  check_variant_of(fused_kernel<kSpec(kRms, kNone, Weight::one_plus, WeightDType::fp32), kSmall>(),
                   0);
  check_variant_of(fused_kernel<kSpec(kNone, kRms, Weight::plain, WeightDType::fp16), kSmall>(), 1);
  check_variant_of(fused_kernel<kSpec(kRms, kRms, Weight::none, WeightDType::same), kSmall>(), 2);
}

TEST_CASE("weights of each head, fused: every variant gives the bytes of the CPU path",
          "[across]") {
  constexpr auto kSpec = [](int head_dim, int rope_dim, Layout layout, Norm norm, Bias bias,
                            NormOrder order = NormOrder::before) {
    Spec spec{head_dim, rope_dim, layout, DType::bf16, Rounding::late_weight};
    spec.q_norm = norm, spec.k_norm = Norm::layer, spec.bias = bias;
    spec.norm_order = order, spec.weights = Weights::per_head;
    return spec;
  };
  constexpr Heads kCommand[] = {{96, 8}, {12, 1}};
  check_variant_of(fused_kernel<kSpec(128, 128, kInterleaved, Norm::layer, Bias::no)>(), 0,
                   kCommand);
  check_lanes<kSpec(64, 64, kNeox, Norm::rms, Bias::yes), 4>(1);
  check_lanes<kSpec(80, 40, kInterleaved, Norm::none, Bias::yes, NormOrder::after), 10>(2);
  check_generic(kSpec(128, 128, kInterleaved, Norm::layer, Bias::no), 3, 0, kCommand);
}

TEST_CASE("across heads, generic: the bytes of the CPU path in all shapes", "[across]") {
  std::size_t number = 0;
  for (const int head_dim : {1, 2, 7, 8, 24, 33, 64, 72, 100, 128, 250, 264, 513, 1000, 1024}) {
    const int even = head_dim / 2 * 2;
    for (const int rope_dim : {0, even, head_dim / 4 * 2}) {
      for (int i = 0; i < 2 * 7; ++i, ++number) {
        Spec spec =
            across(head_dim, rope_dim, static_cast<Layout>(i % 2), static_cast<DType>(number % 3),
                   static_cast<Rounding>(i / 2), static_cast<Positions>(number / 2 % 3));
        spec.norm_order = static_cast<NormOrder>(number / 3 % 2);
        spec.weight = static_cast<Weight>(number / 5 % 3);
        spec.weight_dtype = static_cast<WeightDType>(number / 4 % 4);
        spec.table = static_cast<DType>(number / 7 % 3);
        spec.placement = static_cast<RopePlacement>(number / 11 % 2);
        if (number % 13 == 0) spec.q_norm = Norm::none;
        if (number % 17 == 1) spec.k_norm = Norm::none;
        if (number % 19 > 9) {
          spec.norm_scope = NormScope::head, spec.weights = Weights::per_head;
          spec.q_norm = static_cast<Norm>(number % 3), spec.k_norm = Norm::layer;
          spec.bias = static_cast<Bias>(number / 3 % 2);
        }
        spec = normalized(spec);
        if (!supports(spec)) continue;
        check_generic(spec, number, static_cast<int>(number % 4));
      }
    }
  }
}
