// Tuning changes no bit: every lane count that a spec allows, in blocks of various sizes.
#include "tests/catch.hpp"
#include "tests/simt/fused_specs.hpp"

using namespace qkjit;
using namespace qkjit::simt;

namespace {

/// The knobs that take turns: every value of each, in a dozen combinations.
constexpr Variant kTuned[] = {
    {.rows = 1, .threads = 32},
    {.rows = 2, .threads = 96, .pdl = true},
    {.rows = 3, .threads = 64, .staging = Staging::bulk_load},
    {.rows = 1, .threads = 64, .span = Span::token},
    {.rows = 2, .threads = 32, .pairing = Pairing::exchange, .staging = Staging::bulk, .pdl = true},
    {.rows = 4, .threads = 128, .pairing = Pairing::shuffle, .load = Hint::streaming},
    {.rows = 2, .threads = 64, .span = Span::token, .pairing = Pairing::exchange},
    {.rows = 1, .threads = 32, .pairing = Pairing::exchange, .staging = Staging::bulk_load},
    {.rows = 3, .threads = 96, .pairing = Pairing::exchange, .store = Hint::normal},
    {.rows = 2, .threads = 128, .blocks = 4, .pairing = Pairing::shuffle, .staging = Staging::bulk},
};

template <Spec kSpec, int kLanes, std::size_t kTurn>
constexpr Variant tuned() {
  Variant variant = kTuned[kTurn % std::size(kTuned)];
  variant.lanes = kLanes;
  return variant;
}

/// Lane counts 1, 2, 4 ... 32, as far as the row has chunks for them, each with two of the knobs'
/// combinations.
template <Spec kSpec, int kLanes = 1, std::size_t kTurn = 0>
void check_lanes(std::size_t number) {
  constexpr Variant kVariant = tuned<kSpec, kLanes, kTurn>();
  if (check_variant(kSpec, kVariant, "sm_90")) check_fused(fused_kernel<kSpec, kVariant>(), number);
  if constexpr (kTurn % 2 == 0) return check_lanes<kSpec, kLanes, kTurn + 1>(number + 1);
  constexpr int kNext = 2 * kLanes;
  if constexpr (kTurn % 2 == 1 && kNext <= 32 &&
                kNext <= next_power_of_two(kSpec.head_dim / kChunk)) {
    check_lanes<kSpec, kNext, kTurn + 1>(number + 1);
  }
}

}  // namespace

TEST_CASE("fused: every variant gives the bytes of the CPU path, interleaved") {
  check_lanes<Spec{64, 64, Layout::interleaved, DType::bf16, Rounding::eager}>(0);
  check_lanes<Spec{120, 100, Layout::interleaved, DType::fp16, Rounding::hf}>(1);
  check_lanes<Spec{128, 128, Layout::interleaved, DType::bf16, Rounding::fused}>(2);
  check_lanes<Spec{288, 0, Layout::interleaved, DType::fp32, Rounding::late_weight}>(3);
}

TEST_CASE("fused: one lane for each chunk or two gives the bytes of the CPU path") {
  constexpr Variant kPlain = {.lanes = 10, .rows = 2, .threads = 64};
  constexpr Variant kBulk = {.lanes = 9, .rows = 3, .threads = 32, .staging = Staging::bulk};
  constexpr Variant kExchange = {.lanes = 5,
                                 .rows = 1,
                                 .threads = 96,
                                 .pairing = Pairing::exchange,
                                 .staging = Staging::bulk_load};
  constexpr Variant kWide = {.lanes = 20, .rows = 2, .threads = 32, .span = Span::token};
  constexpr Layout kNeox = Layout::neox, kInterleaved = Layout::interleaved;
  check_fused(fused_kernel<Spec{80, 80, kNeox, DType::bf16}, kPlain>(), 0);
  check_fused(fused_kernel<Spec{80, 40, kInterleaved, DType::fp32, Rounding::hf}, kPlain>(), 1);
  check_fused(fused_kernel<Spec{72, 72, kNeox, DType::bf16, Rounding::eager}, kBulk>(), 2);
  check_fused(fused_kernel<Spec{72, 72, kInterleaved, DType::fp16, Rounding::split}, kBulk>(), 3);
  check_fused(fused_kernel<Spec{40, 20, kNeox, DType::bf16}, kExchange>(), 4);
  check_fused(fused_kernel<Spec{160, 96, kNeox, DType::fp16}, kWide>(), 5);
  constexpr Variant kThree = {.lanes = 3, .rows = 2, .threads = 64};
  constexpr Variant kFive = {.lanes = 5, .rows = 2, .threads = 64, .staging = Staging::bulk_load};
  constexpr Variant kSix = {.lanes = 6, .rows = 1, .threads = 64, .span = Span::token};
  constexpr Variant kSeven = {.lanes = 7, .rows = 2, .threads = 32, .staging = Staging::bulk};
  constexpr Variant kTen = {.lanes = 10, .rows = 2, .threads = 96};
  constexpr Variant kEleven = {.lanes = 11, .rows = 1, .threads = 32};
  constexpr Variant kTwelve = {.lanes = 12, .rows = 2, .threads = 64};
  constexpr Variant kThirteen = {.lanes = 13, .rows = 2, .threads = 64};
  constexpr Variant kFifteen = {.lanes = 15, .rows = 1, .threads = 32, .staging = Staging::bulk};
  constexpr Variant kSeventeen = {.lanes = 17, .rows = 2, .threads = 64};
  constexpr Variant kMost = {.lanes = 31, .rows = 2, .threads = 32, .staging = Staging::bulk_load};
  check_fused(fused_kernel<Spec{104, 104, kNeox, DType::fp16}, kThirteen>(), 7);
  check_fused(fused_kernel<Spec{240, 208, kNeox, DType::bf16, Rounding::hf}, kFifteen>(), 0);
  check_fused(fused_kernel<Spec{272, 272, kInterleaved, DType::bf16}, kSeventeen>(), 1);
  check_fused(fused_kernel<Spec{248, 248, kNeox, DType::fp32, Rounding::eager}, kMost>(), 2);
  check_fused(fused_kernel<Spec{48, 48, kNeox, DType::bf16, Rounding::eager}, kThree>(), 6);
  check_fused(fused_kernel<Spec{80, 80, kNeox, DType::bf16}, kFive>(), 7);
  check_fused(fused_kernel<Spec{96, 96, kNeox, DType::fp32, Rounding::split}, kSix>(), 0);
  check_fused(fused_kernel<Spec{96, 64, kInterleaved, DType::bf16}, kSix>(), 1);
  check_fused(fused_kernel<Spec{112, 112, kNeox, DType::fp16, Rounding::hf}, kSeven>(), 2);
  check_fused(fused_kernel<Spec{112, 72, kNeox, DType::bf16}, kSeven>(), 3);
  check_fused(fused_kernel<Spec{160, 160, kNeox, DType::bf16}, kTen>(), 4);
  check_fused(fused_kernel<Spec{176, 176, kInterleaved, DType::bf16}, kEleven>(), 5);
  check_fused(fused_kernel<Spec{192, 192, kNeox, DType::bf16, Rounding::late_weight}, kTwelve>(),
              6);
}

TEST_CASE("fused: every variant gives the bytes of the CPU path, without a norm") {
  check_lanes<Spec{64, 48, Layout::neox, DType::bf16, Rounding::eager, Positions::int32, Norm::none,
                   Norm::none}>(8);
  check_lanes<Spec{128, 128, Layout::interleaved, DType::fp16, Rounding::fused, Positions::implicit,
                   Norm::none, Norm::none}>(9);
}

TEST_CASE("fused: every variant gives the bytes of the CPU path, in other norms") {
  check_lanes<Spec{80, 80, Layout::neox, DType::bf16, Rounding::split, Positions::int64, Norm::rms,
                   Norm::layer, Weight::plain, Bias::yes, WeightDType::fp32, NormOrder::after}>(10);
  check_lanes<Spec{72, 40, Layout::interleaved, DType::fp16, Rounding::fused, Positions::implicit,
                   Norm::layer, Norm::layer, Weight::none, Bias::no, WeightDType::same,
                   NormOrder::before}>(11);
  check_lanes<Spec{40, 40, Layout::interleaved, DType::fp32, Rounding::late_weight,
                   Positions::int32, Norm::layer, Norm::none, Weight::one_plus, Bias::no,
                   WeightDType::bf16, NormOrder::after}>(12);
}

TEST_CASE("fused: every variant gives the bytes of the CPU path, rotated at the tail") {
  constexpr auto kTail = [](int head_dim, int rope_dim, Layout layout) {
    return Spec{.head_dim = head_dim,
                .rope_dim = rope_dim,
                .layout = layout,
                .table = DType::bf16,
                .placement = RopePlacement::tail};
  };
  check_lanes<kTail(512, 64, Layout::interleaved)>(0);
  check_lanes<kTail(128, 64, Layout::neox)>(1);
  check_lanes<kTail(80, 48, Layout::neox)>(2);
}

TEST_CASE("fused: every variant gives the bytes of the CPU path, neox") {
  check_lanes<Spec{64, 64, Layout::neox, DType::fp16, Rounding::split}>(4);
  check_lanes<Spec{80, 40, Layout::neox, DType::bf16, Rounding::late_weight}>(5);
  check_lanes<Spec{128, 96, Layout::neox, DType::bf16, Rounding::fused}>(6);
  check_lanes<Spec{256, 256, Layout::neox, DType::fp32, Rounding::hf}>(7);
  check_lanes<Spec{64, 32, Layout::neox, DType::bf16, Rounding::fused}>(1);
  check_lanes<Spec{128, 32, Layout::neox, DType::fp16, Rounding::eager}>(2);
  check_lanes<Spec{256, 128, Layout::neox, DType::bf16, Rounding::split}>(3);
  check_lanes<Spec{128, 96, Layout::neox, DType::bf16, Rounding::hf_eager}>(4);
  check_lanes<Spec{64, 64, Layout::interleaved, DType::fp16, Rounding::late_weight_eager}>(5);
}
