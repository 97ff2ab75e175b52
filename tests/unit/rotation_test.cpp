// The checks of a rotation's arguments: the table and the positions.
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <vector>

#include "tests/unit/spoiled_args.hpp"

using namespace qkjit;

namespace {

constexpr std::int64_t kHuge = std::numeric_limits<std::int64_t>::max();

}  // namespace

TEST_CASE("a table is cos_sin_cache, or cos and sin, never a mixture", "[op]") {
  CHECK(accepts([](auto& a) { take_apart(a); }));
  CHECK(refuses({"cos_sin_cache is not given", "cos and sin"}, [](auto& a) {
    take_apart(a);
    a.cos = a.sin = QKJIT_TENSOR_INIT;
  }));
  CHECK(refuses({"sin alone is given", "cos and sin"}, [](auto& a) {
    take_apart(a);
    a.cos = QKJIT_TENSOR_INIT;
  }));
  CHECK(refuses({"cos_sin_cache and cos and sin are given"}, [](auto& a) {
    const qkjit_tensor joint = a.cos_sin_cache;
    take_apart(a);
    a.cos_sin_cache = joint;
  }));
  CHECK(refuses({"cos_sin_cache and sin are given"}, [](auto& a) { a.sin = a.cos_sin_cache; }));
  CHECK(refuses({"sin is bf16", "needs fp32"}, [](auto& a) {
    take_apart(a);
    a.sin.dtype = QKJIT_BF16;
  }));
  CHECK(refuses({"cos is [10, 64]", "[rows, 32]"}, [](auto& a) { take_apart(a, 64); }));
  CHECK(refuses({"cos has 10 rows", "sin 9"}, [](auto& a) {
    take_apart(a);
    a.sin.shape[0] = 9;
  }));
  CHECK(refuses({"stride of 32", "at 48"}, [](auto& a) {
    take_apart(a);
    a.sin.strides[0] = 48;
  }));
}

TEST_CASE("tables have the width and dtype of the spec, and any row stride", "[op]") {
  const auto op = check_args(with([](auto& a) {
    a.spec.table = a.cos_sin_cache.dtype = QKJIT_BF16;
    a.spec.table_width = QKJIT_TABLE_FULL;
    a.cos_sin_cache.shape[1] = 128;
    a.cos_sin_cache.strides[0] = 200;
  }));
  REQUIRE(op.has_value());
  CHECK(op->params.table_row_bytes == 400);
  CHECK(static_cast<const char*>(op->params.sines) ==
        static_cast<const char*>(op->params.cosines) + 64 * 2);
  CHECK(refuses({"cos_sin_cache is [10, 64]", "table_width=full", "[rows, 128]"},
                [](auto& a) { a.spec.table_width = QKJIT_TABLE_FULL; }));
  CHECK(accepts([](auto& a) { a.spec.table_width = QKJIT_TABLE_FULL, take_apart(a, 64); }));
  CHECK(refuses({"2^31 rows"}, [](auto& a) { a.cos_sin_cache.shape[0] = kHuge; }));
  CHECK(refuses({"2^31 rows"}, [](auto& a) { a.cos_sin_cache.strides[0] = 1 << 29; }));
  CHECK(accepts([](auto& a) { a.cos_sin_cache.strides[0] = (1 << 29) - 1; }));
}

TEST_CASE("positions of one and of three axes are never taken for each other", "[op]") {
  const auto op = check_args(with([](auto& a) {
    take_sections(a);
    a.positions.strides[0] = 7;
  }));
  REQUIRE(op.has_value());
  CHECK(op->params.position_axis_stride == 7);
  CHECK(refuses({"positions has rank 2", "[tokens]", "specs with sections"}, [](auto& a) {
    a.positions = qkjit_tensor_2d(address(0x800000), QKJIT_INT64, 3, 4);
  }));
  CHECK(refuses({"positions has rank 1", "[3, tokens]", "sections=12+10+10"}, [](auto& a) {
    take_sections(a);
    a.positions = qkjit_tensor_1d(address(0x800000), QKJIT_INT64, 12);
  }));
  CHECK(refuses({"positions is [4, 3]", "[3, tokens]"}, [](auto& a) {
    take_sections(a);
    a.positions = qkjit_tensor_2d(address(0x800000), QKJIT_INT64, 4, 3);
  }));
  CHECK(refuses({"positions has 5 elements an axis", "4 tokens"}, [](auto& a) {
    take_sections(a);
    a.positions.shape[1] = 5;
  }));
  CHECK(refuses({"63-bit"}, [](auto& a) {
    take_sections(a);
    a.positions.strides[0] = kHuge;
  }));
  CHECK(refuses({"sections=12+10+10", "positions=implicit"}, [](auto& a) {
    take_sections(a);
    a.spec.positions = QKJIT_POSITIONS_IMPLICIT;
  }));
}

TEST_CASE("host positions of every axis must lie in the table", "[op]") {
  std::vector<std::int64_t> positions = {0, 1, 2, 3, -1, 9, 8, 7, 6, -1, 4, 5, 5, 4};
  const auto check = [&] {
    return check_positions(*check_args(with([&](auto& a) {
      take_sections(a);
      a.positions.data = positions.data();
      a.positions.strides[0] = 5;
    })));
  };
  CHECK(check().has_value());
  positions[12] = 10;
  CHECK(fails(check(), Code::invalid_argument, {"positions[2, 2] = 10", "10 rows"}));
}

TEST_CASE("implicit positions must stay in the table", "[op]") {
  const auto at = [](std::int64_t offset) {
    return [=](auto& a) {
      a.spec.positions = QKJIT_POSITIONS_IMPLICIT;
      a.positions = QKJIT_TENSOR_INIT;
      a.position_offset = offset;
    };
  };
  CHECK(accepts(at(0)));
  CHECK(accepts(at(6)));
  for (const std::int64_t offset : {std::int64_t{7}, std::int64_t{-1}, kHuge, -kHuge}) {
    CHECK(
        refuses({fmt::format("position_offset {} with 4 tokens", offset), "10 rows"}, at(offset)));
  }
}

TEST_CASE("explicit positions are read and must stay in the table", "[op]") {
  std::vector<std::int64_t> positions = {0, 9, 3, 0};
  const auto check = [&](std::int64_t offset) {
    return check_positions(*check_args(with([&](auto& a) {
      a.positions.data = positions.data();
      a.position_offset = offset;
    })));
  };
  const Code invalid = Code::invalid_argument;
  CHECK(check(0).has_value());
  CHECK(fails(check(1), invalid, {"positions[1] = 9", "position_offset 1", "10 rows"}));
  CHECK(fails(check(-1), invalid, {"positions[0] = 0", "position_offset -1"}));
  positions = {1, 1, 1, kHuge};
  CHECK(fails(check(-1), invalid, {"positions[3] = 9223372036854775807"}));
  CHECK(fails(check(kHuge), invalid, {"positions[0] = 1"}));
  positions = {-5, -5, -5, -5};
  CHECK(check(5).has_value());
}

TEST_CASE("no rotation needs neither table nor positions", "[op]") {
  const auto op = check_args(with([](auto& a) {
    a.spec.rope_dim = 0;
    a.cos_sin_cache = a.positions = QKJIT_TENSOR_INIT;
    a.position_offset = -7;
  }));
  REQUIRE(op.has_value());
  CHECK((op->params.cosines == nullptr && op->params.positions == nullptr));
  CHECK(check_positions(*op).has_value());
}

namespace {

/// The table's place taken by frequencies.
void compute(qkjit_args& a) {
  a.spec.angles = QKJIT_ANGLES_COMPUTED;
  a.cos_sin_cache = QKJIT_TENSOR_INIT;
  a.frequencies.base = 1e4;
}

}  // namespace

TEST_CASE("computed angles take frequencies in place of a table, never both", "[op]") {
  const auto op = check_args(with(compute));
  REQUIRE(op.has_value());
  REQUIRE(op->frequencies);
  CHECK(op->frequencies->turns[0] == 0x28be60db9391054a);  // 1 / (2 pi) turns
  CHECK((op->aligned && !op->params.cosines && op->params.positions));
  CHECK_FALSE(check_args(fake_args())->frequencies);
  CHECK(check_args(with(compute))->frequencies == op->frequencies);
  CHECK(refuses({"frequencies.base is 0", "angles=computed", "10000"}, [](auto& a) {
    compute(a);
    a.frequencies = QKJIT_FREQUENCIES_INIT;
  }));
  CHECK(refuses({"frequencies.base is 10000", "angles=table"},
                [](auto& a) { a.frequencies.base = 1e4; }));
  CHECK(refuses({"frequencies.yarn_factor is 4", "angles=table"},
                [](auto& a) { a.frequencies.yarn_factor = 4; }));
  CHECK(accepts([](auto& a) { a.frequencies = {}; }));
  CHECK(refuses({"cos_sin_cache is given", "angles=computed"}, [](auto& a) {
    const qkjit_tensor table = a.cos_sin_cache;
    compute(a);
    a.cos_sin_cache = table;
  }));
  CHECK(refuses({"sin is given", "angles=computed"}, [](auto& a) {
    const qkjit_tensor table = a.cos_sin_cache;
    compute(a);
    a.sin = table;
  }));
  CHECK(refuses({"angles=computed with table=bf16"}, [](auto& a) {
    compute(a);
    a.spec.table = QKJIT_BF16;
  }));
}

TEST_CASE("computed angles take any position of 63 bits", "[op]") {
  const auto implicit = [](std::int64_t offset) {
    return [=](qkjit_args& a) {
      compute(a);
      a.spec.positions = QKJIT_POSITIONS_IMPLICIT;
      a.positions = QKJIT_TENSOR_INIT;
      a.position_offset = offset;
    };
  };
  CHECK(accepts(implicit(-5)));
  CHECK(accepts(implicit(kHuge - 3)));  // the last of 4 tokens is at kHuge
  CHECK(refuses({"position_offset", "4 tokens", "63-bit"}, implicit(kHuge - 2)));
  std::vector<std::int64_t> positions = {-7, 0, 1ll << 40, kHuge - 9};
  const auto given = [&](std::int64_t offset) {
    const auto op = check_args(with([&](auto& a) {
      compute(a);
      a.positions.data = positions.data();
      a.position_offset = offset;
    }));
    REQUIRE(op.has_value());
    return check_positions(*op);
  };
  CHECK(given(9).has_value());
  CHECK(fails(given(10), Code::invalid_argument, {"positions[3]", "offset 10", "63 bits"}));
}
