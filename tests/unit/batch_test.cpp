// Calls with a batch dimension, with q and k of different lengths, and with one of them: what is
// accepted, what folds, and that each sequence is what a call of its own would make of it.
#include "kernels/generic_params.cuh"
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

constexpr Spec kSpec{.head_dim = 40, .rope_dim = 24, .layout = Layout::neox};

/// The good call as 2 sequences of 2 tokens, one after another.
void take_batches(qkjit_args& a) {
  for (qkjit_tensor* t : {&a.q, &a.k, &a.q_out, &a.k_out}) {
    *t = qkjit_tensor_4d(t->data, t->dtype, 2, 2, t->shape[1], 64);
  }
  a.positions = qkjit_tensor_2d(a.positions.data, QKJIT_INT64, 2, 2);
}

template <class Spoil>
auto batched(Spoil spoil) {
  return [spoil](qkjit_args& a) {
    take_batches(a);
    spoil(a);
  };
}

/// Sequence `batch` of the call, as a call without a batch dimension.
qkjit_args sequence_of(const qkjit_args& args, std::int64_t batch) {
  qkjit_args one = args;
  const auto take = [&](qkjit_tensor& t, int at) {
    const std::int64_t size = static_cast<std::int64_t>(element_size(t.dtype));
    t.data = static_cast<char*>(t.data) + batch * t.strides[at] * size;
    for (int i = at; i + 1 < t.rank; ++i) {
      t.shape[i] = t.shape[i + 1], t.strides[i] = t.strides[i + 1];
    }
    --t.rank;
  };
  for (qkjit_tensor* t : {&one.q, &one.k, &one.q_out, &one.k_out}) {
    if (t->data) take(*t, 0);
  }
  const int axes = args.spec.sections[0] > 0 ? 1 : 0;
  for (qkjit_tensor* t : {&one.positions, &one.k_positions}) {
    if (t->rank == axes + 2) take(*t, axes);
  }
  return one;
}

void launch(const qkjit_args& args) {
  static const RuntimePointer runtime = make_runtime(QKJIT_RUNTIME_OPTIONS_INIT);
  const qkjit_status status = qkjit_launch(runtime.get(), &args, QKJIT_STREAM_HOST, nullptr);
  INFO(qkjit_last_error());
  REQUIRE(status == QKJIT_OK);
}

ProblemConfig config_of(std::size_t i) {
  return with_batches({.spec = kSpec,
                       .tokens = 4,
                       .strides = static_cast<Strides>(i / kBatchForms % 4),
                       .in_place = i % 3 == 0,
                       .position_offset = 3},
                      i);
}

}  // namespace

TEST_CASE("batches that follow one another are tokens of one sequence", "[batch]") {
  const auto flat = check_args(fake_args()), folded = check_args(with(take_batches));
  REQUIRE(folded.has_value());
  CHECK((folded->is_folded && folded->tokens == 4 && folded->batches.tokens == 4));
  CHECK(folded->support.dispatch.path == Path::fused);
  const FusedLaunch of_flat = fused_launch(*flat, {.lanes = 8, .threads = 64});
  const FusedLaunch of_folded = fused_launch(*folded, {.lanes = 8, .threads = 64});
  CHECK(std::memcmp(&of_flat.params.common, &of_folded.params.common, sizeof(Params)) == 0);
  CHECK(of_flat.grid.blocks == of_folded.grid.blocks);
  CHECK(generic_kind(generic_spec(*folded)).forms == Forms::common);
  const auto one = check_args(with(batched([](auto& a) {  // any stride of a single one
    for (qkjit_tensor* t : {&a.q, &a.k, &a.q_out, &a.k_out}) t->shape[0] = 1, t->strides[0] = 7;
    a.positions = qkjit_tensor_1d(a.positions.data, QKJIT_INT64, 2);
  })));
  REQUIRE(one.has_value());
  CHECK((one->is_folded && one->tokens == 2));
  CHECK(check_args(with(batched([](auto& a) {
          for (qkjit_tensor* t : {&a.q, &a.k, &a.q_out, &a.k_out}) {
            t->shape[1] = 1, t->strides[0] = 1000;
          }
          a.positions = qkjit_tensor_2d(a.positions.data, QKJIT_INT64, 2, 1);
        })))->is_folded);
}

TEST_CASE("what does not fold takes batch=strided, or the generic kernel", "[batch]") {
  const std::function<void(qkjit_args&)> apart[] = {
      [](auto& a) { a.k.strides[0] += 64; },
      [](auto& a) { a.q_out.strides[0] += 8; },
      [](auto& a) { a.positions = qkjit_tensor_1d(a.positions.data, QKJIT_INT64, 2); },
      [](auto& a) { a.positions.strides[0] = 3; },
      [](auto& a) { a.spec.positions = QKJIT_POSITIONS_IMPLICIT, a.positions = QKJIT_TENSOR_INIT; },
  };
  for (const auto& spoil : apart) {
    const auto op = check_args(with(batched(spoil)));
    REQUIRE(op.has_value());
    CHECK_FALSE(op->is_folded);
    CHECK(op->support.dispatch == Dispatch{Path::generic, Reason::batch});
    CHECK(mentions(op->support.text, {"batch=strided"}));
    CHECK(generic_kind(generic_spec(*op)).forms == Forms::all);
    const auto strided = check_args(with(batched([&](auto& a) {
      spoil(a);
      a.spec.batch = QKJIT_BATCH_STRIDED;
    })));
    REQUIRE(strided.has_value());
    CHECK(strided->support.dispatch.path == Path::fused);
    CHECK((strided->tokens == 4 && strided->batches.tokens == 2));
    CHECK((strided->batches.q.tokens == 2 && strided->batches.k.tokens == 2));
  }
  const auto op = check_args(with(batched([](auto& a) { a.k.strides[0] = 1000; })));
  CHECK((op->batches.k.in_stride == 1000 && op->batches.q.in_stride == 384));
  CHECK((op->batches.q.position_stride == 2 && op->batches.k.out_stride == 256));
}

/// The generic kernel's, as for any spec with batch=folded.
bool is_for_the_generic_kernel(const Result<Operation>& op) {
  return op && op->support.dispatch == Dispatch{Path::generic, Reason::batch};
}

TEST_CASE("a norm across heads takes batches that do not fold", "[batch]") {
  const auto across = [](std::int64_t gap) {
    return batched([gap](auto& a) {
      a.spec.norm_scope = QKJIT_NORM_SCOPE_TOKEN;
      a.q_weight = qkjit_tensor_1d(a.q_weight.data, QKJIT_BF16, 3 * 64);
      a.k_weight = qkjit_tensor_1d(a.k_weight.data, QKJIT_BF16, 2 * 64);
      a.k.strides[0] += gap;
    });
  };
  CHECK(check_args(with(across(0)))->is_folded);
  CHECK(is_for_the_generic_kernel(check_args(with(across(64)))));
}

TEST_CASE("so do vectors of each head's own and computed angles", "[batch]") {
  const auto apart = [](auto set) {
    return with(batched([set](auto& a) {
      set(a);
      a.k.strides[0] += 64;
    }));
  };
  const auto own_weights = apart([](auto& a) {
    a.spec.weights = QKJIT_WEIGHTS_PER_HEAD;
    a.q_weight = qkjit_tensor_1d(a.q_weight.data, QKJIT_BF16, 3 * 64);
    a.k_weight = qkjit_tensor_1d(a.k_weight.data, QKJIT_BF16, 2 * 64);
  });
  CHECK(is_for_the_generic_kernel(check_args(own_weights)));
  const auto computed = apart([](auto& a) {
    a.spec.angles = QKJIT_ANGLES_COMPUTED;
    a.frequencies.base = 1e4;
    a.cos_sin_cache = QKJIT_TENSOR_INIT;
  });
  CHECK(is_for_the_generic_kernel(check_args(computed)));
}

TEST_CASE("lengths, positions and tensors that do not fit are refused", "[batch]") {
  const auto strided = [](auto spoil) {
    return batched([spoil](auto& a) {
      a.spec.batch = QKJIT_BATCH_STRIDED;
      spoil(a);
    });
  };
  const auto k_positions = [](std::int64_t tokens) {
    return [tokens](auto& a) {
      a.k_positions = qkjit_tensor_1d(address(0x880000), QKJIT_INT64, tokens);
    };
  };
  CHECK(refuses({"q has rank 4", "k has rank 3", "batch dimension"}, batched([](auto& a) {
                  a.k = a.k_out = qkjit_tensor_3d(a.k.data, QKJIT_BF16, 4, 2, 64);
                })));
  CHECK(refuses({"q has 2 sequences and k has 3"},
                batched([](auto& a) { a.k.shape[0] = a.k_out.shape[0] = 3; })));
  CHECK(refuses({"q has 2 tokens and k has 1", "batch=strided"},
                batched([](auto& a) { a.k.shape[1] = a.k_out.shape[1] = 1; })));
  CHECK(accepts(strided([](auto& a) { a.k.shape[1] = a.k_out.shape[1] = 1; })));
  CHECK(refuses({"q_out is [2, 1, 3, 64]", "[2, 2, 3, 64]"},
                batched([](auto& a) { a.q_out.shape[1] = 1; })));
  CHECK(refuses({"k_out is [4, 2, 64]", "[2, 2, 2, 64]"}, batched([](auto& a) {
                  a.k_out = qkjit_tensor_3d(a.k_out.data, QKJIT_BF16, 4, 2, 64);
                })));
  CHECK(refuses({"positions has rank 2", "[tokens]"}, [](auto& a) {
    a.positions = qkjit_tensor_2d(a.positions.data, QKJIT_INT64, 2, 2);
  }));
  CHECK(refuses({"positions has rank 3", "[batch, tokens]"}, batched([](auto& a) {
                  a.positions = qkjit_tensor_3d(a.positions.data, QKJIT_INT64, 3, 2, 2);
                })));
  CHECK(refuses({"positions is for 3 sequences", "has 2"},
                batched([](auto& a) { a.positions.shape[0] = 3; })));
  CHECK(refuses({"positions has 3 elements", "2 tokens"},
                batched([](auto& a) { a.positions.shape[1] = 3; })));
  CHECK(refuses({"positions has 2 elements", "3 tokens"}, strided([](auto& a) {
                  a.k.shape[1] = a.k_out.shape[1] = 3;
                  a.k.strides[0] = a.k_out.strides[0] = 384;
                })));
  CHECK(refuses({"k_positions are given", "batch=folded"}, k_positions(4)));
  CHECK(refuses({"k_positions has 1 elements", "2 tokens"}, strided(k_positions(1))));
  CHECK(accepts(strided(k_positions(2))));
  CHECK(refuses({"k_positions", "not both q and k"}, strided([&](auto& a) {
                  k_positions(2)(a);
                  a.q = a.q_out = a.q_weight = QKJIT_TENSOR_INIT;
                })));
  CHECK(refuses({"k_positions are given", "implicit"}, strided([&](auto& a) {
                  k_positions(2)(a);
                  a.spec.positions = QKJIT_POSITIONS_IMPLICIT, a.positions = QKJIT_TENSOR_INIT;
                })));
  CHECK(refuses({"k_positions lies in the memory of an output"}, strided([&](auto& a) {
                  k_positions(2)(a);
                  a.k_positions.data = a.q_out.data;
                })));
  CHECK(refuses({"rows of q_out overlap", "batch stride 768"},
                strided([](auto& a) { a.q_out.strides[0] = 384, a.q_out.strides[1] = 200; })));
  CHECK(refuses({"q_out overlaps k_out"},
                strided([](auto& a) { a.k_out.data = static_cast<char*>(a.q_out.data) + 700; })));
  CHECK(refuses({"63-bit", "[4611686018427387904, 192"},
                batched([](auto& a) { a.q.strides[0] = std::int64_t{1} << 62; })));
  CHECK(refuses({"1000000 tokens", "1000 times", "split"}, batched([](auto& a) {
                  for (qkjit_tensor* t : {&a.q, &a.k, &a.q_out, &a.k_out}) {
                    t->shape[0] = 1000, t->shape[1] = 1000000;
                  }
                })));
}

TEST_CASE("q alone and k alone are calls, nothing is none", "[batch]") {
  const auto without_k = [](auto& a) { a.k = a.k_out = a.k_weight = QKJIT_TENSOR_INIT; };
  const auto op = check_args(with(without_k));
  REQUIRE(op.has_value());
  CHECK((op->params.k.heads == 0 && op->params.row_count == 12 && op->is_folded));
  CHECK(op->bytes == 12 * 64 * 2);
  const auto of_k =
      check_args(with([](auto& a) { a.q = a.q_out = a.q_weight = QKJIT_TENSOR_INIT; }));
  REQUIRE(of_k.has_value());
  CHECK((of_k->params.q.heads == 0 && of_k->params.row_count == 8));
  CHECK(fused_launch(*of_k, {.lanes = 8, .threads = 64}).params.slices.of_q == 0);
  CHECK(
      refuses({"k_weight is given without k"}, [](auto& a) { a.k = a.k_out = QKJIT_TENSOR_INIT; }));
  CHECK(refuses({"q_out is given without q"}, [](auto& a) { a.q = QKJIT_TENSOR_INIT; }));
  CHECK(refuses({"neither q nor k is given"},
                [](auto& a) { a.q = a.q_out = a.k = a.k_out = QKJIT_TENSOR_INIT; }));
}

TEST_CASE("host positions of every sequence, and of k, must lie in the table", "[batch]") {
  std::vector<std::int64_t> q = {0, 1, -1, 2, 9}, k = {3, 4};
  const auto check = [&] {
    return check_positions(*check_args(with(batched([&](auto& a) {
      a.spec.batch = QKJIT_BATCH_STRIDED;
      a.positions.data = q.data(), a.positions.strides[0] = 3;
      a.k_positions = qkjit_tensor_1d(k.data(), QKJIT_INT64, 2);
    }))));
  };
  CHECK(check().has_value());
  q[4] = 10;
  CHECK(fails(check(), Code::invalid_argument, {"positions[1, 1] = 10", "10 rows"}));
  q[4] = 9, k[1] = -1;
  CHECK(fails(check(), Code::invalid_argument, {"k_positions[0, 1] = -1"}));
}

TEST_CASE("cpu: a sequence gives the bytes of a call of its own", "[batch]") {
  for (std::size_t i = 0; i < 4 * kBatchForms; ++i) {
    for (const Positions positions : {Positions::int64, Positions::int32, Positions::implicit}) {
      ProblemConfig config = config_of(i);
      config.spec.positions = positions;
      if (positions == Positions::implicit) config.own_k_positions = false;
      if (positions == Positions::int32) {
        for (int axis = 0; axis < 3; ++axis) config.spec.sections[axis] = 4;
      }
      const Problem before(config);
      Problem together = before, apart = before;
      launch(together.args());
      const qkjit_args args = apart.args();
      if (config.batches == 0) launch(args);
      for (std::int64_t b = 0; b < config.batches; ++b) launch(sequence_of(args, b));
      CHECK(first_difference("sequences", apart, together) == "");
      CHECK(first_stray_write(before, together) == "");
    }
  }
}

TEST_CASE("cpu: the oracle accepts every form of batches, and not another's positions", "[batch]") {
  for (std::size_t i = 0; i < kBatchForms; ++i) {
    ProblemConfig config = config_of(i);
    config.in_place = false;
    Problem problem(config);
    qkjit_args args = problem.args();
    launch(args);
    const auto result = oracle::check_call(args);
    REQUIRE(result.has_value());
    INFO(to_text(config) << ": " << result->text);
    CHECK((result->passed && result->checked == result->elements));
    qkjit_tensor& positions = args.k_positions.data ? args.k_positions : args.positions;
    auto* const values = static_cast<std::int64_t*>(positions.data);
    if (positions.rank == 2) {
      values[positions.strides[0]] += 1;  // of the second sequence
    } else {
      values[0] -= 1;
    }
    CHECK_FALSE(oracle::check_call(args)->passed);
  }
}
