// Checked positions on the device: the bytes of the nearest row, and the token that is reported.
#include <algorithm>
#include <cstring>

#include "tests/gpu/gpu.hpp"

using namespace qkjit;
using namespace qkjit::test;

namespace {

void set(Problem& problem, qkjit_tensor qkjit_args::*field, std::int64_t index,
         std::int32_t value) {
  const auto a = *std::ranges::find(problem.arguments(), field, &Argument::field);
  std::memcpy(problem.blocks()[a.block].bytes.data() + a.offset + 4 * index, &value, sizeof(value));
}

}  // namespace

TEST_CASE("gpu: a position outside the table takes the nearest row and is reported") {
  const Gpu gpu;
  constexpr std::int32_t kTokens = 3000;
  for (const NormScope scope : {NormScope::head, NormScope::token}) {
    const Spec spec{.head_dim = 128,
                    .rope_dim = 128,
                    .layout = Layout::neox,
                    .positions = Positions::int32,
                    .norm_scope = scope,
                    .bounds = Bounds::checked};
    const Problem original({.spec = spec, .tokens = kTokens, .in_place = false});
    Problem expected = original, before = original;
    for (const std::int32_t token : {2999, 777, 1500, 901}) {
      const bool is_below = token % 2 == 0;
      set(expected, &qkjit_args::positions, token, is_below ? 0 : kTokens - 1);
      set(before, &qkjit_args::positions, token, is_below ? -5 : kTokens + token);
    }
    run_on_host(expected);
    for (const std::int32_t token : {2999, 777, 1500, 901}) {
      set(expected, &qkjit_args::positions, token, token % 2 == 0 ? -5 : kTokens + token);
    }
    set(expected, &qkjit_args::position_error, 0, 777);
    const auto difference = [&](qkjit_path path, qkjit_dispatch wanted) {
      return difference_on_device(gpu.workspace(), gpu.runtime(), before, expected, path, wanted);
    };
    CHECK(difference(QKJIT_PATH_NONE, {QKJIT_PATH_FUSED, QKJIT_REASON_NONE}) == "");
    CHECK(difference(QKJIT_PATH_GENERIC, {QKJIT_PATH_GENERIC, QKJIT_REASON_REQUESTED}) == "");
  }
}
