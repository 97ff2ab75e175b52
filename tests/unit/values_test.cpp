// V, copied beside q and k: what is accepted, and that every bit arrives.
#include "op/dual.hpp"
#include "op/geometry.hpp"
#include "tests/catch.hpp"
#include "tests/support/batch_forms.hpp"
#include "tests/support/compare.hpp"
#include "tests/support/runtime.hpp"
#include "tests/unit/spoiled_args.hpp"
#include "tools/oracle/check.hpp"

using namespace qkjit;
using namespace qkjit::test;

namespace {

template <class Spoil>
auto with_v(Spoil spoil) {
  return [spoil](qkjit_args& a) {
    a.spec.v = QKJIT_V_COPY;
    a.v = qkjit_tensor_3d(address(0x900000), QKJIT_BF16, 4, 5, 64);
    a.v_out = qkjit_tensor_3d(address(0xa00000), QKJIT_BF16, 4, 5, 64);
    spoil(a);
  };
}

}  // namespace

TEST_CASE("v has slices behind those of k, and its bytes count", "[v]") {
  const auto op = check_args(with(with_v([](auto&) {})));
  REQUIRE(op.has_value());
  CHECK((op->v.rows.heads == 5 && op->is_folded && op->support.dispatch.path == Path::fused));
  CHECK(op->bytes == 4 * (3 + 2 + 5) * 64 * 2);
  const FusedLaunch launch = fused_launch(*op, {.lanes = 8, .rows = 1, .threads = 64});
  CHECK((launch.params.slices.of_q == 1 && launch.params.v.first_slice == 2));
  CHECK(launch.params.slices.per_token == 4);
  CHECK(generic_kind(generic_spec(*op)).forms == Forms::all);
}

TEST_CASE("v that does not fit the spec or k is refused", "[v]") {
  const auto none = [](auto&) {};
  CHECK(accepts(with_v(none)));
  CHECK(refuses({"v is given", "v=none", "v=copy"},
                with_v([](auto& a) { a.spec.v = QKJIT_V_NONE; })));
  CHECK(refuses({"v is not given"}, with_v([](auto& a) { a.v = QKJIT_TENSOR_INIT; })));
  CHECK(refuses({"v_out is not given"}, with_v([](auto& a) { a.v_out = QKJIT_TENSOR_INIT; })));
  CHECK(refuses({"v_out is [4, 4, 64]", "[4, 5, 64]"},
                with_v([](auto& a) { a.v_out.shape[1] = 4; })));
  CHECK(refuses({"v has", "of 3 tokens", "k has"},
                with_v([](auto& a) { a.v.shape[0] = a.v_out.shape[0] = 3; })));
  CHECK(refuses({"v has", "give k"},
                with_v([](auto& a) { a.k = a.k_out = a.k_weight = QKJIT_TENSOR_INIT; })));
  CHECK(refuses({"v is fp16"}, with_v([](auto& a) { a.v.dtype = QKJIT_FP16; })));
  CHECK(refuses({"v_out overlaps v:"},
                with_v([](auto& a) { a.v_out.data = static_cast<char*>(a.v.data) + 2; })));
  CHECK(refuses({"q_out overlaps v"}, with_v([](auto& a) { a.v.data = a.q_out.data; })));
  CHECK(refuses({"v_out overlaps q:"}, with_v([](auto& a) { a.v_out.data = a.q.data; })));
  CHECK(refuses({"k_out overlaps v_out"}, with_v([](auto& a) { a.v_out.data = a.k_out.data; })));
  CHECK(refuses({"k_weight lies in the memory of an output"},
                with_v([](auto& a) { a.k_weight.data = a.v_out.data; })));
  CHECK_FALSE(check_args(with(with_v([](auto& a) { a.v_out.data = address(0xa00002); })))->aligned);
}

TEST_CASE("v of batches with gaps does not fold", "[v]") {
  const auto op = check_args(with(with_v([](auto& a) {
    for (qkjit_tensor* t : {&a.q, &a.k, &a.q_out, &a.k_out, &a.v, &a.v_out}) {
      *t = qkjit_tensor_4d(t->data, t->dtype, 2, 2, t->shape[1], 64);
    }
    a.positions = qkjit_tensor_2d(a.positions.data, QKJIT_INT64, 2, 2);
    a.v_out.strides[0] = 1000;
  })));
  REQUIRE(op.has_value());
  CHECK(op->support.dispatch == Dispatch{Path::generic, Reason::batch});
  CHECK((op->v.of.out_stride == 1000 && op->v.of.in_stride == 640 && op->v.of.tokens == 2));
}

TEST_CASE("cpu: every bit of v arrives, and the oracle says so", "[v]") {
  for (std::size_t i = 0; i <= kBatchForms; ++i) {
    for (const DType dtype : {DType::bf16, DType::fp16, DType::fp32}) {
      ProblemConfig config{.spec = {.head_dim = 40, .rope_dim = 24, .dtype = dtype},
                           .strides = static_cast<Strides>(i % 4),
                           .in_place = false};
      config.spec.v = Values::copy, config.heads_v = 4;
      if (i < kBatchForms) config = with_batches(config, i);
      const Problem before(config);
      Problem after = before;
      run_on_host(after);
      CHECK(first_stray_write(before, after) == "");
      qkjit_args args = after.args();
      const auto result = oracle::check_call(args);
      REQUIRE(result.has_value());
      INFO(to_text(config) << ": " << result->text);
      CHECK((result->passed && result->checked == result->elements));
      if (config.heads_v == 0) continue;
      static_cast<char*>(args.v_out.data)[3] ^= 1;
      CHECK(oracle::check_call(args)->wrong == 1);
    }
  }
}
