// Checked positions: a token outside the table takes the nearest row, nothing outside is read (ASan
// looks on), and the lowest such token is reported.
#include <algorithm>
#include <cstring>
#include <vector>

#include "tests/catch.hpp"
#include "tests/simt/paths.hpp"
#include "tests/support/compare.hpp"
#include "tests/support/runtime.hpp"

using namespace qkjit;
using namespace qkjit::simt;
using test::Problem;
using test::ProblemConfig;

namespace {

constexpr std::int64_t kFar = 1ll << 40;

std::byte* bytes_of(Problem& problem, qkjit_tensor qkjit_args::*field) {
  const auto a = *std::ranges::find(problem.arguments(), field, &test::Argument::field);
  return problem.blocks()[a.block].bytes.data() + a.offset;
}

std::int32_t error_of(Problem& problem) {
  std::int32_t error = 0;
  std::memcpy(&error, bytes_of(problem, &qkjit_args::position_error), sizeof(error));
  return error;
}

template <class T>
void set(Problem& problem, qkjit_tensor qkjit_args::*field, std::int64_t index, std::int64_t to) {
  const T value = static_cast<T>(to);
  std::memcpy(bytes_of(problem, field) + index * std::int64_t{sizeof(T)}, &value, sizeof(value));
}

struct Outside {
  std::int64_t index, position;
};

/// Puts positions into a problem, and what they should stand for into another; compares the bytes
/// of kernel and generic kernel with what the CPU path makes of the latter.
void check_nearest(const FusedKernel& kernel, const ProblemConfig& config,
                   const std::vector<Outside>& outside, std::int32_t reported) {
  const bool wide = kernel.spec.positions == Positions::int64;
  const Problem original(config);
  Problem expected = original;
  const std::int64_t rows = config.position_offset + config.tokens;
  const auto put = [&](Problem& problem, std::int64_t index, std::int64_t position) {
    constexpr auto kField = &qkjit_args::positions;
    wide ? set<std::int64_t>(problem, kField, index, position - config.position_offset)
         : set<std::int32_t>(problem, kField, index, position - config.position_offset);
  };
  for (const auto& [index, position] : outside) {
    put(expected, index, std::clamp<std::int64_t>(position, 0, rows - 1));
  }
  test::run_on_host(expected);
  CHECK(error_of(expected) == -1);
  for (const bool fused : {true, false}) {
    Problem actual = original;
    for (const auto& [index, position] : outside) put(actual, index, position);
    const Operation operation = checked(actual.args());
    fused ? kernel.run(fused_launch(operation, kernel.variant)) : run_generic(operation);
    INFO((fused ? "fused" : "generic"));
    CHECK(test::gather_outputs(actual) == test::gather_outputs(expected));
    CHECK(error_of(actual) == reported);
  }
}

constexpr Spec kPlain{
    .head_dim = 64, .rope_dim = 64, .layout = Layout::neox, .bounds = Bounds::checked};

}  // namespace

TEST_CASE("bounds: positions beyond either end of the table take the nearest row") {
  const FusedKernel kernel = fused_kernel<kPlain>();
  const ProblemConfig config{.spec = kPlain, .tokens = 9, .position_offset = 4};
  check_nearest(kernel, config, {}, -1);
  check_nearest(kernel, config, {{3, 13}, {5, -1}, {8, kFar}}, 3);
  check_nearest(kernel, config, {{7, -kFar}, {2, 12}, {4, 0}}, 7);  // 12 is the last row
  check_nearest(kernel, config, {{0, (1ll << 32) + 2}}, 0);
}

TEST_CASE(
    "bounds: any axis may be outside, of tokens by themselves and under a norm across heads") {
  constexpr auto kSpec = [](NormScope scope, TableHeads heads) {
    return Spec{.head_dim = 64,
                .rope_dim = 64,
                .positions = Positions::int32,
                .sections = {12, 10, 10},
                .norm_scope = scope,
                .table_heads = heads,
                .bounds = Bounds::checked};
  };
  const std::vector<Outside> outside = {{6 + 4, 6}, {2 * 6 + 1, -3}, {5, 100}};
  constexpr Spec kHead = kSpec(NormScope::head, TableHeads::shared);
  constexpr Spec kToken = kSpec(NormScope::token, TableHeads::per_head);
  check_nearest(fused_kernel<kHead>(), {.spec = kHead, .tokens = 6}, outside, 1);
  check_nearest(fused_kernel<kToken>(), {.spec = kToken, .tokens = 6}, outside, 1);
}

TEST_CASE("bounds: tokens are counted through all sequences of a call") {
  constexpr Spec kStrided = [] {
    Spec spec = kPlain;
    spec.batch = Batch::strided;
    return spec;
  }();
  const FusedKernel kernel = fused_kernel<kStrided>();
  ProblemConfig config{.spec = kStrided, .tokens = 5, .batches = 3, .gap_of_batches = true};
  const std::int64_t sequence = 5 + 3;  // with a gap of 3
  check_nearest(kernel, config, {{2 * sequence + 1, 5}, {sequence + 4, -1}}, 9);
  config.batch_positions = false;
  check_nearest(kernel, config, {{2, 7}}, 2);
}

TEST_CASE("bounds: tokens of a segment that begins outside") {
  constexpr Spec kSegments{
      .head_dim = 64, .rope_dim = 64, .positions = Positions::segments, .bounds = Bounds::checked};
  const FusedKernel kernel = fused_kernel<kSegments>();
  const ProblemConfig config{.spec = kSegments, .tokens = 8};
  ProblemConfig by_position = config;
  by_position.spec.positions = Positions::int32;
  Problem expected(by_position);
  // Segments 0..3, 3..3, 3..5, 5..5, 5..8 at 6, 0, 2, 0 and -1.
  constexpr std::int64_t kBegins[] = {0, 3, 3, 5, 5, 8}, kOffsets[] = {6, 0, 2, 0, -1};
  constexpr std::int64_t kRows[] = {6, 7, 7, 2, 3, 0, 0, 1};
  for (std::int64_t i = 0; i < 8; ++i) {
    set<std::int32_t>(expected, &qkjit_args::positions, i, kRows[i]);
  }
  test::run_on_host(expected);
  for (const bool fused : {true, false}) {
    Problem actual(config);
    for (std::int64_t i = 0; i < 6; ++i) {
      set<std::int32_t>(actual, &qkjit_args::positions, i, kBegins[i]);
    }
    for (std::int64_t i = 0; i < 5; ++i) {
      set<std::int32_t>(actual, &qkjit_args::segment_offsets, i, kOffsets[i]);
    }
    const Operation operation = checked(actual.args());
    fused ? kernel.run(fused_launch(operation, kernel.variant)) : run_generic(operation);
    CHECK(test::gather_outputs(actual) == test::gather_outputs(expected));
    CHECK(error_of(actual) == 2);
    CHECK_THROWS(test::run_on_host(actual));
  }
}
