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
