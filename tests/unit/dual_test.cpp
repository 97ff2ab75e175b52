// Two streams in one call: what may lie where, and the joint buffer of a dual-stream block.
#include "op/dual.hpp"

#include <algorithm>

#include "spec/variant.hpp"
#include "tests/catch.hpp"
#include "tests/support/compare.hpp"
#include "tests/support/problem.hpp"
#include "tests/support/runtime.hpp"
#include "tests/unit/spoiled_args.hpp"
#include "tuning/builtin.hpp"
#include "tuning/dual_choices.hpp"

using namespace qkjit;
using namespace qkjit::test;

namespace {

/// The good call in memory of its own.
qkjit_args elsewhere() {
  qkjit_args args = fake_args();
  for (qkjit_tensor* t : {&args.q, &args.k, &args.q_out, &args.k_out, &args.q_weight,
                          &args.k_weight, &args.cos_sin_cache, &args.positions}) {
    t->data = static_cast<char*>(t->data) + 0x10000000;
  }
  return args;
}

/// What the check says of the good call beside one elsewhere that is spoiled.
template <class Spoil>
Result<void> beside(Spoil spoil) {
  qkjit_args other = elsewhere();
  spoil(other);
  return check_apart(*check_args(fake_args()), *check_args(other));
}

qkjit_status launch(const qkjit_args& a, const qkjit_args& b) {
  static const RuntimePointer runtime = make_runtime(QKJIT_RUNTIME_OPTIONS_INIT);
  return qkjit_launch_dual(runtime.get(), &a, &b, QKJIT_STREAM_HOST, nullptr);
}

}  // namespace

TEST_CASE("a stream may not write what the other reads or writes", "[dual]") {
  const qkjit_args first = fake_args();
  const Code invalid = Code::invalid_argument;
  CHECK(beside([](auto&) {}).has_value());
  CHECK(beside([&](auto& b) {  // what both read
          b.q = first.q, b.k_weight = first.k_weight, b.cos_sin_cache = first.cos_sin_cache;
        })
            .has_value());
  CHECK(fails(beside([&](auto& b) { b.q_out = first.q_out; }), invalid,
              {"q_out of the first stream", "q_out of the second"}));
  CHECK(fails(beside([&](auto& b) { b.k_out.data = first.q.data; }), invalid,
              {"k_out of the second stream", "q of the first"}));
  CHECK(fails(beside([&](auto& b) { b.k = first.k_out; }), invalid,
              {"k_out of the first stream", "k of the second"}));
  CHECK(fails(beside([&](auto& b) { b.q_weight.data = first.q_out.data; }), invalid,
              {"q_out of the first", "q_weight of the second"}));
  CHECK(fails(beside([&](auto& b) { b.positions.data = first.k_out.data; }), invalid,
              {"k_out of the first", "positions of the second"}));
  CHECK(fails(beside([&](auto& b) {
                b.cos_sin_cache.data = static_cast<char*>(first.k_out.data) - 9 * 256;
              }),
              invalid, {"k_out of the first", "cos_sin_cache of the second"}));
}

TEST_CASE("views of one joint buffer are apart, in either order", "[dual]") {
  const auto joint = [](std::int64_t begin, std::int64_t tokens, std::int64_t batches) {
    return [=](auto& a) {  // [batches, 10, 5, 64], q before k
      void* const base = address(0x20000000 + begin * 5 * 64 * 2);
      a.q = qkjit_tensor_4d(a.q.data, QKJIT_BF16, batches, tokens, 3, 64);
      a.k = qkjit_tensor_4d(a.k.data, QKJIT_BF16, batches, tokens, 2, 64);
      a.q_out = a.q, a.k_out = a.k;
      a.q_out.data = base, a.k_out.data = static_cast<char*>(base) + 3 * 64 * 2;
      for (qkjit_tensor* t : {&a.q_out, &a.k_out}) {
        t->strides[0] = 10 * 5 * 64, t->strides[1] = 5 * 64;
      }
      a.positions = qkjit_tensor_1d(a.positions.data, QKJIT_INT64, tokens);
      a.spec.batch = QKJIT_BATCH_STRIDED;
    };
  };
  const auto apart = [&](auto of_first, auto of_second) {
    qkjit_args a = fake_args(), b = elsewhere();
    of_first(a), of_second(b);
    return check_apart(*check_args(a), *check_args(b));
  };
  for (const std::int64_t batches : {1, 3}) {
    CHECK(apart(joint(0, 3, batches), joint(3, 7, batches)).has_value());
    CHECK(apart(joint(7, 3, batches), joint(0, 7, batches)).has_value());
    CHECK(fails(apart(joint(0, 4, batches), joint(3, 7, batches)), Code::invalid_argument,
                {"q_out of the first stream overlaps q_out of the second"}));
  }
}

TEST_CASE("host: both streams have the bytes of two calls", "[dual]") {
  ProblemConfig image{.spec = {.head_dim = 40, .rope_dim = 24, .layout = Layout::neox},
                      .tokens = 9,
                      .strides = Strides::packed};
  ProblemConfig text{.spec = {.head_dim = 64, .rope_dim = 0, .positions = Positions::implicit},
                     .tokens = 4,
                     .heads_q = 2,
                     .heads_k = 1,
                     .in_place = false,
                     .seed = 2};
  Problem a(image), b(text), expected_a = a, expected_b = b;
  run_on_host(expected_a), run_on_host(expected_b);
  REQUIRE(launch(a.args(), b.args()) == QKJIT_OK);
  CHECK(first_difference("image", expected_a, a) == "");
  CHECK(first_difference("text", expected_b, b) == "");
  Problem alone(image);
  qkjit_args empty = b.args();
  for (qkjit_tensor* t : {&empty.q, &empty.k, &empty.q_out, &empty.k_out}) t->shape[0] = 0;
  REQUIRE(launch(empty, alone.args()) == QKJIT_OK);
  CHECK(first_difference("image alone", expected_a, alone) == "");
}

TEST_CASE("host: what is wrong with either stream leaves both untouched", "[dual]") {
  const ProblemConfig config{.spec = {.head_dim = 40, .rope_dim = 24}};
  const Problem before(config);
  Problem a(config), b(config);
  qkjit_args first = a.args(), second = b.args();
  second.positions.shape[0] = 4;
  CHECK(launch(first, second) == QKJIT_INVALID_ARGUMENT);
  second = b.args();
  second.position_offset = -100;
  CHECK(launch(first, second) == QKJIT_INVALID_ARGUMENT);
  CHECK(launch(first, first) == QKJIT_INVALID_ARGUMENT);
  CHECK(mentions(qkjit_last_error(), {"overlaps", "side by side"}));
  first.path = QKJIT_PATH_FUSED;
  CHECK(launch(first, b.args()) == QKJIT_UNSUPPORTED);
  CHECK(first_difference("first", before, a) == "");
  CHECK(first_difference("second", before, b) == "");
}

TEST_CASE("variants of two streams have the same threads and fit their specs", "[dual]") {
  for (const int head_dim : {40, 64, 72, 80, 128, 256, 512}) {
    for (const Layout layout : {Layout::interleaved, Layout::neox}) {
      const Spec first{.head_dim = 128, .rope_dim = 128, .layout = layout};
      const Streams streams(
          first,
          Spec{.head_dim = head_dim, .rope_dim = head_dim, .layout = layout, .dtype = DType::fp16});
      for (const char* target : {"sm_80", "sm_90", "sm_100"}) {
        const Choices choices = choices_of(streams, builtin_choices(first, target));
        REQUIRE(!choices.empty());
        CHECK(choices.front().from_bytes == 0);
        for (const Choice& choice : choices) {
          const Variants both = variants_of(streams, choice.variant);
          CHECK(both.first == choice.variant);
          CHECK((both.second.threads == both.first.threads && both.second.pdl == both.first.pdl));
          CHECK((both.first.staging == Staging::registers &&
                 both.second.staging == Staging::registers));
          CHECK(check_variant(*streams.second, both.second, target).has_value());
        }
      }
      const Choices alone = builtin_choices(first, "sm_90");
      CHECK(choices_of(Streams(first, first), alone) == alone);
      CHECK(variants_of(Streams(first, first), alone.back().variant).second ==
            alone.back().variant);
    }
  }
}
