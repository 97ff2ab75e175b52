// How the generic kernel divides warps and calls: few lanes idle, pairs in the lane where they can
// be.
#include "op/geometry.hpp"

#include <bit>

#include "tests/catch.hpp"

using namespace qkjit;

namespace {

GenericParams params_of(const Spec& spec, unsigned heads_q = 24, unsigned heads_k = 24,
                        std::int64_t tokens = 5) {
  Operation op{};
  op.spec = spec;
  op.tokens = tokens;
  op.params.q.heads = heads_q, op.params.k.heads = heads_k;
  op.aligned_rows = op.aligned = true;
  return generic_launch(op).params;
}

Pairing pairing_of(int head_dim, int rope_dim) {
  return params_of({head_dim, rope_dim, Layout::neox}).pairing;
}

}  // namespace

TEST_CASE("the generic kernel has lanes for all chunks, and few that idle", "[geometry]") {
  for (int head_dim = 1; head_dim <= kGenericMaxHeadDim; ++head_dim) {
    for (const Layout layout : {Layout::interleaved, Layout::neox}) {
      for (const int rope_dim : {head_dim / 2 * 2, head_dim / 4 * 2}) {
        const Spec spec{head_dim, rope_dim, layout};
        const int slots = generic_slots(spec), chunks = (head_dim + 7) / 8;
        const GenericParams params = params_of(spec);
        const auto [lanes, half, per_warp, by_lanes] = params.groups;
        INFO(head_dim << " " << rope_dim << ", lanes " << lanes << ", slots " << slots);
        REQUIRE((lanes <= 32 && lanes * slots >= chunks));
        REQUIRE((slots <= 2 || lanes == 32));
        REQUIRE(half == static_cast<int>(std::bit_ceil(static_cast<unsigned>(lanes))) / 2);
        REQUIRE(per_warp == 32u / static_cast<unsigned>(lanes));
        for (unsigned lane = 0; lane < 32; ++lane) {
          REQUIRE(lane / by_lanes == lane / static_cast<unsigned>(lanes));
        }
        REQUIRE(params.whole_rows == (head_dim % 8 == 0));
        if (chunks <= 32) REQUIRE(2 * static_cast<int>(per_warp) * chunks > 32 * slots);
      }
    }
  }
}

TEST_CASE("neox pairs of the generic kernel: in a lane, by shuffles, by exchange", "[geometry]") {
  for (const int head_dim : {16, 64, 80, 96, 112, 128, 160, 192, 256, 320, 512}) {
    CHECK(pairing_of(head_dim, head_dim) == Pairing::in_lane);
  }
  CHECK(pairing_of(128, 64) == Pairing::shuffle);
  CHECK(pairing_of(72, 72) == Pairing::shuffle);
  CHECK(pairing_of(128, 96) == Pairing::shuffle);
  CHECK(pairing_of(128, 36) == Pairing::exchange);
  CHECK(pairing_of(512, 256) == Pairing::exchange);
  CHECK(pairing_of(1024, 1024) == Pairing::exchange);
}

TEST_CASE("slices of the generic kernel are as long as a lane group's rows", "[geometry]") {
  const Slices few = params_of({128, 128, Layout::neox}, 4, 1).slices;
  CHECK((few.of_q == 2 && few.per_token == 3 && few.count == 15));
  const Slices odd = params_of({128, 128, Layout::neox}, 3, 2).slices;
  CHECK((odd.of_q == 2 && odd.per_token == 3 && odd.count == 15));
  const Slices one_row = params_of({1024, 0}, 4, 1).slices;
  CHECK((one_row.of_q == 4 && one_row.per_token == 5 && one_row.count == 25));
}

namespace {

Operation across_heads(int head_dim, unsigned heads_q, unsigned heads_k) {
  Operation op{};
  op.spec = {.head_dim = head_dim, .rope_dim = head_dim / 2 * 2, .layout = Layout::neox};
  op.spec.norm_scope = NormScope::token;
  op.tokens = 7;
  op.params.q.heads = heads_q, op.params.k.heads = heads_k;
  return op;
}

}  // namespace

TEST_CASE("across heads, a block has a token's q or k, and the warps that these need",
          "[geometry]") {
  const Variant variant{.lanes = 16, .rows = 2, .threads = 512, .span = Span::token};
  const auto grid = [&](unsigned heads_q, unsigned heads_k) {
    return fused_launch(across_heads(128, heads_q, heads_k), variant).grid;
  };
  CHECK((grid(40, 40).blocks == 14 && grid(40, 40).threads == 320));  // four heads a warp
  CHECK(grid(8, 41).threads == 352);
  CHECK(grid(1, 1).threads == 32);
  CHECK(grid(64, 8).threads == 512);
  CHECK(grid(1000, 8).threads == 512);
}

TEST_CASE("across heads, a warp has a token's few heads in a large call, if they are staged",
          "[geometry]") {
  const Variant staged{
      .lanes = 8, .rows = 1, .threads = 128, .span = Span::token, .staging = Staging::bulk};
  const Variant held{.lanes = 8, .rows = 1, .threads = 128, .span = Span::token};
  const auto call = [](unsigned heads, std::int64_t tokens) {
    Operation op = across_heads(128, heads, heads);
    op.tokens = tokens;
    return op;
  };
  CHECK(team_size_of(call(12, 4096), staged) == TeamSize::warp);
  CHECK(team_size_of(call(12, 4095), staged) == TeamSize::block);
  CHECK(team_size_of(call(24, 4096), staged) == TeamSize::block);
  CHECK(team_size_of(call(12, 4096), held) == TeamSize::block);

  const FusedLaunch few = fused_launch(call(12, 4097), staged);
  CHECK(
      (few.grid.blocks == 2049 && few.grid.threads == 128));  // 8,194 tensors, four of them a block
  CHECK(few.grid.shared_bytes == 4 * (12 * 256 + 48));
  CHECK((few.params.slices.count == 8194 && few.params.slices.per_token == 1));
  const FusedLaunch many = fused_launch(call(40, 4097), staged);
  CHECK((many.grid.blocks == 8194 && many.grid.threads == 128));
  CHECK(many.grid.shared_bytes == 40 * 256 + 160);
  CHECK((many.params.slices.count == 8194 && many.params.slices.per_token == 4));
}

TEST_CASE("across heads, the generic kernel has up to four chunks a lane", "[geometry]") {
  const auto lanes = [](int head_dim) {
    const GenericLaunch launch = generic_launch(across_heads(head_dim, 3, 2));
    CHECK((launch.grid.blocks == 14 && launch.grid.threads == kGenericThreads));
    CHECK(launch.params.pairing == Pairing::exchange);
    CHECK(static_cast<int>(launch.params.groups.per_warp) * launch.params.groups.lanes == 32);
    return launch.params.groups.lanes;
  };
  CHECK(lanes(1) == 1);
  CHECK(lanes(32) == 1);
  CHECK(lanes(72) == 4);
  CHECK(lanes(128) == 4);
  CHECK(lanes(1000) == 32);
  CHECK(generic_kind(across_heads(64, 3, 2).spec).forms == Forms::by_token);
  CHECK(generic_kind(across_heads(64, 3, 2).spec).slots == kGenericMaxSlots);
}
