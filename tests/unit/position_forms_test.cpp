// Tables of heads' own, grids, segments and checked positions: their texts, their checks, and what
// the CPU path makes of them.
#include <cstdint>
#include <limits>
#include <vector>

#include "spec/support.hpp"
#include "spec/text.hpp"
#include "tests/simt/position_forms.hpp"
#include "tests/support/compare.hpp"
#include "tests/support/problem.hpp"
#include "tests/support/runtime.hpp"
#include "tests/unit/spoiled_args.hpp"
#include "tools/oracle/check.hpp"

using namespace qkjit;
using test::Problem;
using test::ProblemConfig;

namespace {

const std::string kText = "head_dim=64,rope_dim=64,layout=neox,dtype=bf16";
constexpr Code kInvalid = Code::invalid_argument;
constexpr std::int64_t kHuge = std::numeric_limits<std::int64_t>::max();

/// A table [10 rows, 3 heads, 64], head-major.
void take_heads(qkjit_args& a) {
  a.spec.table_heads = QKJIT_TABLE_HEADS_PER_HEAD;
  a.cos_sin_cache = {address(0x700000), QKJIT_FP32, 3, {10, 3, 64, 0}, {64, 640, 1, 0}};
}

/// 4 tokens as 1 x 2 x 2.
void take_grid(qkjit_args& a) {
  take_sections(a);
  a.spec.positions = QKJIT_POSITIONS_GRID;
  a.positions = QKJIT_TENSOR_INIT;
  a.grid = {{1, 2, 2}, {0, 0, 0}};
}

void take_segments(qkjit_args& a) {
  a.spec.positions = QKJIT_POSITIONS_SEGMENTS;
  a.positions = qkjit_tensor_1d(address(0x800000), QKJIT_INT32, 4);
  a.segment_offsets = qkjit_tensor_1d(address(0x900000), QKJIT_INT32, 3);
}

void take_bounds(qkjit_args& a) {
  a.spec.bounds = QKJIT_BOUNDS_CHECKED;
  a.position_error = qkjit_tensor_1d(address(0xa00000), QKJIT_INT32, 1);
}

/// A good call with one thing changed behind `take`.
template <class Take, class Spoil>
auto after(Take take, Spoil spoil) {
  return [=](qkjit_args& a) { take(a), spoil(a); };
}

}  // namespace

TEST_CASE("position forms have canonical texts", "[positions]") {
  for (const std::string field :
       {",positions=segments", ",table_heads=per_head", ",bounds=checked",
        ",positions=segments,table_heads=per_head,bounds=checked",
        ",positions=grid,sections=12+10+10", ",positions=segments,angles=computed"}) {
    INFO(field);
    REQUIRE(parse_spec(kText + field).has_value());
    CHECK(to_text(*parse_spec(kText + field)) == kText + field);
    CHECK(supports(*parse_spec(kText + field))->dispatch.path == Path::fused);
  }
  CHECK(to_text(*parse_spec(kText + ",table_heads=shared,bounds=unchecked")) == kText);
  const std::string none = "head_dim=64,rope_dim=0,layout=neox,dtype=bf16";
  CHECK(*parse_spec(none + ",table_heads=per_head,bounds=checked,positions=grid") ==
        *parse_spec(none));
  CHECK(fails(parse_spec(kText + ",table_heads=each"), kInvalid, {"shared, per_head"}));
  CHECK(fails(parse_spec(kText + ",bounds=yes"), kInvalid, {"unchecked, checked"}));
}

TEST_CASE("position forms that mean nothing together are refused", "[positions]") {
  const auto refused = [](const std::string& fields, Code code,
                          std::initializer_list<std::string_view> words) {
    return fails(supports(*parse_spec(kText + fields)), code, words);
  };
  CHECK(refused(",positions=grid", kInvalid, {"positions=grid without sections"}));
  CHECK(refused(",positions=segments,sections=12+10+10", kInvalid,
                {"sections=12+10+10 with positions=segments"}));
  CHECK(refused(",positions=segments,batch=strided", Code::unsupported,
                {"positions=segments with batch=strided", "batch=folded"}));
  CHECK(refused(",bounds=checked,angles=computed", kInvalid, {"no table to be outside of"}));
  CHECK(refused(",bounds=checked,positions=implicit", kInvalid, {"positions=implicit", "leave"}));
  CHECK(refused(",bounds=checked,positions=grid,sections=12+10+10", kInvalid, {"positions=grid"}));
  CHECK(refused(",table_heads=per_head,angles=computed", kInvalid, {"table_heads=per_head"}));
}

TEST_CASE("tables of heads' own have as many heads as q and k", "[positions]") {
  const auto op = check_args(with(take_heads));
  REQUIRE(op.has_value());
  CHECK((op->params.table_row_bytes == 256 && op->params.table_head_stride == 2560));
  CHECK((op->aligned && op->table_heads == 3));
  CHECK(accepts(after(take_heads, [](auto& a) { a.cos_sin_cache.shape[1] = 8; })));
  CHECK(accepts(after(take_heads, [](auto& a) {  // [tokens, heads] in memory too
    a.cos_sin_cache.strides[0] = 192, a.cos_sin_cache.strides[1] = 64;
  })));
  CHECK(refuses({"cos_sin_cache has 2 heads", "q or k has 3", "table_heads=per_head"},
                after(take_heads, [](auto& a) { a.cos_sin_cache.shape[1] = 2; })));
  CHECK(refuses({"rank 2", "[rows, heads, 64]"},
                [](auto& a) { a.spec.table_heads = QKJIT_TABLE_HEADS_PER_HEAD; }));
  CHECK(refuses({"rank 3", "[rows, 64]"},
                after(take_heads, [](auto& a) { a.spec.table_heads = QKJIT_TABLE_HEADS_SHARED; })));
  CHECK(refuses({"cos_sin_cache is [10, 3, 32]", "[rows, heads, 64]"},
                after(take_heads, [](auto& a) { a.cos_sin_cache.shape[2] = 32; })));
  CHECK(refuses({"head stride 63", "overlap"},
                after(take_heads, [](auto& a) { a.cos_sin_cache.strides[1] = 63; })));
  CHECK(refuses({"head stride", "63-bit"},
                after(take_heads, [](auto& a) { a.cos_sin_cache.strides[1] = kHuge; })));
  CHECK(refuses({"cos has 3 heads", "sin 3 at 330"}, [](auto& a) {
    take_heads(a), take_apart(a);
    for (qkjit_tensor* t : {&a.cos, &a.sin}) {
      *t = {t->data, QKJIT_FP32, 3, {10, 3, 32, 0}, {32, 320, 1, 0}};
    }
    a.sin.strides[1] = 330;
  }));
  const auto uneven =
      check_args(with(after(take_heads, [](auto& a) { a.cos_sin_cache.strides[1] = 642; })));
  CHECK_FALSE(uneven->aligned);
  CHECK(refuses({"cos_sin_cache lies in the memory of an output"}, after(take_heads, [](auto& a) {
                  a.cos_sin_cache.strides[1] = 640, a.q_out.data = address(0x700000 + 2 * 2560);
                })));
}

TEST_CASE("a grid has the tokens of each sequence, and its coordinates a place", "[positions]") {
  const auto op = check_args(with(after(take_grid, [](auto& a) { a.grid.first[1] = 8; })));
  REQUIRE(op.has_value());
  CHECK((op->params.grid.extents[2] == 2 && op->params.grid.first[1] == 8 && op->is_folded));
  const auto refused = [](std::initializer_list<std::string_view> words, auto spoil) {
    return refuses(words, after(take_grid, spoil));
  };
  CHECK(refused({"grid is 2 x 2 x 2", "4 tokens"}, [](auto& a) { a.grid.extents[0] = 2; }));
  CHECK(refused({"grid is 0 x 0 x 0", "4 tokens"}, [](auto& a) { a.grid = QKJIT_GRID_INIT; }));
  CHECK(refused({"grid is -1 x -2 x 2"}, [](auto& a) { a.grid = {{-1, -2, 2}, {}}; }));
  CHECK(refused({"4 tokens"}, [](auto& a) { a.grid = {{kHuge, kHuge, 4}, {}}; }));
  CHECK(refused({"grid axis 1", "from 9 on", "10 rows"}, [](auto& a) { a.grid.first[1] = 9; }));
  CHECK(refused({"grid axis 2", "from -1 on"}, [](auto& a) { a.grid.first[2] = -1; }));
  CHECK(refused({"grid axis 0", "10 rows"}, [](auto& a) { a.position_offset = 10; }));
  CHECK(refused({"grid axis 0"}, [](auto& a) { a.grid.first[0] = a.position_offset = kHuge; }));
  CHECK(refused({"positions are given", "positions=grid"}, [](auto& a) {
    a.positions = qkjit_tensor_2d(address(0x800000), QKJIT_INT64, 3, 4);
  }));
  CHECK(refuses({"grid is given", "positions=int64"}, [](auto& a) { a.grid.extents[0] = 4; }));
}

TEST_CASE("segments are one more begin than offsets", "[positions]") {
  const auto op = check_args(with(take_segments));
  REQUIRE(op.has_value());
  CHECK((op->params.segments.count == 3 && op->params.segments.offsets != nullptr));
  const auto refused = [](std::initializer_list<std::string_view> words, auto spoil) {
    return refuses(words, after(take_segments, spoil));
  };
  CHECK(refused({"positions has 3 elements and segment_offsets 3"},
                [](auto& a) { a.positions.shape[0] = 3; }));
  CHECK(refused({"segment_offsets 0"},
                [](auto& a) { a.positions.shape[0] = 1, a.segment_offsets.shape[0] = 0; }));
  CHECK(refused({"segment_offsets", "[segments]"},
                [](auto& a) { a.segment_offsets = QKJIT_TENSOR_INIT; }));
  CHECK(refused({"positions is int64", "int32"}, [](auto& a) { a.positions.dtype = QKJIT_INT64; }));
  CHECK(refused({"k_positions are given"}, [](auto& a) { a.k_positions = a.positions; }));
  CHECK(refused({"2 sequences", "positions=segments"}, [](auto& a) {
    for (qkjit_tensor* t : {&a.q, &a.k, &a.q_out, &a.k_out}) {
      *t = qkjit_tensor_4d(t->data, t->dtype, 2, 2, t->shape[1], 64);
    }
  }));
  CHECK(refuses({"segment_offsets are given", "positions=int64"},
                [](auto& a) { a.segment_offsets = qkjit_tensor_1d(address(1), QKJIT_INT32, 3); }));
  CHECK(refused({"segment_offsets lies in the memory"},
                [](auto& a) { a.segment_offsets.data = a.q_out.data; }));
}

TEST_CASE("host segments must cover the tokens and lie in the table", "[positions]") {
  std::vector<std::int32_t> begins = {0, 1, 1, 4}, offsets = {9, -7, 7};
  const auto check = [&](std::int64_t offset = 0) {
    return check_positions(*check_args(with(after(take_segments, [&](auto& a) {
      a.positions.data = begins.data(), a.segment_offsets.data = offsets.data();
      a.position_offset = offset;
    }))));
  };
  CHECK(check().has_value());  // the empty segment may say anything
  CHECK(fails(check(1), kInvalid, {"segment_offsets[0] = 9", "position_offset 1", "10 rows"}));
  CHECK(fails(check(-8), kInvalid, {"segment_offsets[2] = 7"}));
  offsets[2] = 8;
  CHECK(fails(check(), kInvalid, {"segment_offsets[2] = 8 with 3 tokens"}));
  offsets = {0, 0, 0};
  for (const auto& [index, value, word] :
       {std::tuple{0, 1, "from 1 to 4"}, {3, 5, "from 0 to 5"}, {1, 2, "positions[2] = 1"}}) {
    const std::int32_t before = std::exchange(begins[static_cast<std::size_t>(index)], value);
    CHECK(fails(check(), kInvalid, {word}));
    begins[static_cast<std::size_t>(index)] = before;
  }
}

TEST_CASE("checked positions come with a place for the error", "[positions]") {
  const auto op = check_args(with(take_bounds));
  REQUIRE(op.has_value());
  CHECK((op->params.position_error && op->params.table_rows == 10));
  CHECK(refuses({"position_error", "[1]"},
                after(take_bounds, [](auto& a) { a.position_error = QKJIT_TENSOR_INIT; })));
  CHECK(refuses({"position_error has 2 elements"},
                after(take_bounds, [](auto& a) { a.position_error.shape[0] = 2; })));
  CHECK(refuses({"position_error is given", "bounds=unchecked"},
                after(take_bounds, [](auto& a) { a.spec.bounds = QKJIT_BOUNDS_UNCHECKED; })));
  CHECK(refuses({"position_error lies in the memory"},
                after(take_bounds, [](auto& a) { a.position_error.data = a.k_out.data; })));
}

TEST_CASE("cpu: the oracle accepts position forms, and not another's angles", "[positions]") {
  const auto run = [](const ProblemConfig& config, auto change) {
    const Problem before(config);
    Problem problem = before;
    test::run_on_host(problem);
    CHECK(test::first_stray_write(before, problem) == "");
    qkjit_args args = problem.args();
    const auto result = oracle::check_call(args);
    REQUIRE(result.has_value());
    INFO(test::to_text(config) << ": " << result->text);
    CHECK((result->passed && result->checked == result->elements));
    if (change(args)) CHECK_FALSE(oracle::check_call(args)->passed);
  };
  for (int n = 0; n < simt::kPositionForms; ++n) {
    for (const NormScope scope : {NormScope::head, NormScope::token}) {
      ProblemConfig config{.spec = simt::position_spec(n),
                           .tokens = 24,
                           .strides = static_cast<test::Strides>(n % 4),
                           .in_place = false,
                           .position_offset = n % 3,
                           .joint_table = n % 2 == 0,
                           .head_major_table = n % 5 > 1};
      config.spec.norm_scope = scope;
      run(config, [&](qkjit_args& args) {
        if (args.spec.table_heads == QKJIT_TABLE_HEADS_PER_HEAD) {
          for (qkjit_tensor* t : {&args.cos_sin_cache, &args.cos}) t->strides[1] = 0;
        } else if (args.spec.positions == QKJIT_POSITIONS_GRID) {
          std::swap(args.grid.extents[0], args.grid.extents[1]);
          args.grid.first[0] = args.grid.first[1] = 0;
        } else if (args.spec.positions == QKJIT_POSITIONS_SEGMENTS) {
          static_cast<std::int32_t*>(args.segment_offsets.data)[4] -= 1;
        } else {
          return false;
        }
        return true;
      });
    }
  }
  for (const std::string fields : {",positions=grid,sections=12+10+10,angles=computed",
                                   ",positions=segments,angles=computed"}) {
    run({.spec = *parse_spec(kText + fields), .tokens = 30, .in_place = false},
        [](qkjit_args& args) { return args.position_offset += 1, true; });
  }
}
