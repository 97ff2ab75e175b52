// Tuning changes no bit: every lane count that a spec allows, in blocks of various sizes.
#include "tests/catch.hpp"
#include "tests/simt/fused_specs.hpp"

using namespace qkjit;
using namespace qkjit::simt;

namespace {

constexpr int kThreads[] = {32, 96, 64, 256, 128};

/// Lane counts 1, 2, 4 ... 32, as far as the row has chunks for them.
template <Spec kSpec, int kLanes = 1>
void check_lanes(std::size_t number) {
  constexpr std::size_t kTurn = static_cast<std::size_t>(kSpec.head_dim / 8 + kLanes);
  check_fused(fused_kernel<kSpec, Variant{kLanes, kThreads[kTurn % std::size(kThreads)]}>(),
              number);
  constexpr int kNext = 2 * kLanes;
  if constexpr (kNext <= 32 && kNext <= next_power_of_two(kSpec.head_dim / kChunk)) {
    check_lanes<kSpec, kNext>(number + 1);
  }
}

}  // namespace

TEST_CASE("fused: every variant gives the bytes of the CPU path, interleaved") {
  check_lanes<Spec{64, 64, Layout::interleaved, DType::bf16, Rounding::eager}>(0);
  check_lanes<Spec{120, 100, Layout::interleaved, DType::fp16, Rounding::hf}>(1);
  check_lanes<Spec{128, 128, Layout::interleaved, DType::bf16, Rounding::fused}>(2);
  check_lanes<Spec{288, 0, Layout::interleaved, DType::fp32, Rounding::late_weight}>(3);
}

TEST_CASE("fused: every variant gives the bytes of the CPU path, neox") {
  check_lanes<Spec{64, 64, Layout::neox, DType::fp16, Rounding::split}>(4);
  check_lanes<Spec{80, 40, Layout::neox, DType::bf16, Rounding::late_weight}>(5);
  check_lanes<Spec{128, 96, Layout::neox, DType::bf16, Rounding::fused}>(6);
  check_lanes<Spec{256, 256, Layout::neox, DType::fp32, Rounding::hf}>(7);
}
