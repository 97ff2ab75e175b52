// Outputs in FP8 and in a paged cache: what is accepted, and what the CPU path makes of them.
#include <algorithm>
#include <cstring>

#include "op/dual.hpp"
#include "op/geometry.hpp"
#include "spec/text.hpp"
#include "tests/catch.hpp"
#include "tests/support/compare.hpp"
#include "tests/support/output_forms.hpp"
#include "tests/support/runtime.hpp"
#include "tests/unit/spoiled_args.hpp"
#include "tools/oracle/check.hpp"
#include "tools/oracle/fp8.hpp"

using namespace qkjit;
using namespace qkjit::test;

namespace {

/// fake_args() with q and k in FP8, one scale each.
template <class Spoil>
auto fp8(Spoil spoil) {
  return [spoil](qkjit_args& a) {
    a.spec.q_out = a.spec.k_out = QKJIT_OUT_FP8_E4M3;
    a.q_out.dtype = a.k_out.dtype = QKJIT_FP8_E4M3;
    a.q_scale = qkjit_tensor_1d(address(0x900000), QKJIT_FP32, 1);
    a.k_scale = qkjit_tensor_1d(address(0x910000), QKJIT_FP32, 1);
    spoil(a);
  };
}

/// fake_args() with k in a cache of 5 blocks of 8 slots, and V.
template <class Spoil>
auto paged(Spoil spoil) {
  return [spoil](qkjit_args& a) {
    a.spec.cache = QKJIT_CACHE_PAGED, a.spec.v = QKJIT_V_COPY;
    a.k_out = QKJIT_TENSOR_INIT;
    a.v = qkjit_tensor_3d(address(0xa00000), QKJIT_BF16, 4, 2, 64);
    a.k_cache = qkjit_tensor_4d(address(0xb00000), QKJIT_BF16, 5, 8, 2, 64);
    a.v_cache = qkjit_tensor_4d(address(0xc00000), QKJIT_BF16, 5, 8, 2, 64);
    a.slot_mapping = qkjit_tensor_1d(address(0xd00000), QKJIT_INT64, 4);
    spoil(a);
  };
}

constexpr auto kNothing = [](auto&) {};

/// A problem of form `i` of outputs, on the CPU.
ProblemConfig config_of(int i, DType dtype, Batch batch) {
  Spec spec{.head_dim = 40,
            .rope_dim = 24,
            .layout = static_cast<Layout>(i % 2),
            .dtype = dtype,
            .rounding = static_cast<Rounding>(i % 7)};
  spec.v = Values::copy, spec.batch = batch;
  ProblemConfig config{.spec = output_spec(spec, i),
                       .tokens = 9,
                       .strides = static_cast<Strides>(i % 4),
                       .in_place = false,
                       .heads_v = 2};
  if (batch == Batch::strided) config = with_batches(config, static_cast<std::size_t>(i));
  return with_output_turns(config, static_cast<std::size_t>(i));
}

}  // namespace

TEST_CASE("outputs have a text, and what means nothing is dropped", "[outputs]") {
  const std::string text = "head_dim=64,rope_dim=64,layout=neox,dtype=bf16";
  const auto canonical = [&](const std::string& fields) {
    return to_text(*parse_spec(text + fields));
  };
  for (const char* fields :
       {",out=fp8_e4m3", ",q_out=fp8_e4m3,k_out=same", ",q_out=same,k_out=fp8_e4m3,out_scale=head",
        ",cache=paged", ",out=fp8_e4m3,out_scale=token,cache=paged,slots=int32"}) {
    CHECK(canonical(fields) == text + fields);
  }
  CHECK(canonical(",q_out=fp8_e4m3,k_out=fp8_e4m3") == text + ",out=fp8_e4m3");
  CHECK(canonical(",out=same,out_scale=head,slots=int32") == text);
  CHECK(canonical(",norm=none,rounding=split") == text + ",norm=none");
  CHECK(canonical(",norm=none,rounding=split,out=fp8_e4m3") ==
        text + ",rounding=split,norm=none,out=fp8_e4m3");
  CHECK(fails(parse_spec(text + ",out=fp8_e4m3,q_out=same"), Code::invalid_argument,
              {"out", "q_out", "one of them"}));
  CHECK(fails(parse_spec(text + ",out=fp8"), Code::invalid_argument, {"same", "fp8_e4m3"}));
}

TEST_CASE("fp8: outputs and scales are checked", "[outputs]") {
  CHECK(accepts(fp8(kNothing)));
  const auto op = check_args(with(fp8(kNothing)));
  REQUIRE(op.has_value());
  CHECK((op->aligned && op->support.dispatch.path == Path::fused));
  CHECK((op->params.q.out_token_stride == 3 * 64 && op->outputs.q.head_stride == 0));
  CHECK(refuses({"q_out is not given", "fp8_e4m3", "in place"},
                fp8([](auto& a) { a.q_out = QKJIT_TENSOR_INIT; })));
  CHECK(refuses({"k_out is bf16", "fp8_e4m3"}, fp8([](auto& a) { a.k_out.dtype = QKJIT_BF16; })));
  CHECK(refuses({"q_out is fp8_e4m3", "bf16"}, [](auto& a) { a.q_out.dtype = QKJIT_FP8_E4M3; }));
  CHECK(refuses({"k_scale is not given"}, fp8([](auto& a) { a.k_scale = QKJIT_TENSOR_INIT; })));
  CHECK(refuses({"k_scale is bf16", "fp32"}, fp8([](auto& a) { a.k_scale.dtype = QKJIT_BF16; })));
  CHECK(refuses({"q_scale has 2 scales", "1 or 3"}, fp8([](auto& a) { a.q_scale.shape[0] = 2; })));
  CHECK(accepts(fp8([](auto& a) { a.q_scale.shape[0] = 3; })));
  CHECK(refuses({"q_scale is given", "q_out=same"},
                fp8([](auto& a) { a.spec.q_out = QKJIT_OUT_SAME, a.q_out.dtype = QKJIT_BF16; })));
  CHECK(refuses({"k_scale is given without k"},
                fp8([](auto& a) { a.k = a.k_out = a.k_weight = QKJIT_TENSOR_INIT; })));
  CHECK(refuses({"v_scale is given", "v=none"}, fp8([](auto& a) { a.v_scale = a.q_scale; })));
  CHECK(refuses({"q_out overlaps q_scale"}, fp8([](auto& a) { a.q_scale.data = a.q_out.data; })));
  CHECK(refuses({"q_out overlaps q:"}, fp8([](auto& a) { a.q_out.data = a.q.data; })));
  CHECK(refuses({"spec has q_out 2"},
                fp8([](auto& a) { a.spec.q_out = static_cast<qkjit_out>(2); })));
  CHECK_FALSE(check_args(with(fp8([](auto& a) { a.q_out.data = address(0x300004); })))->aligned);
  CHECK(check_args(with(fp8([](auto& a) { a.q_out.data = address(0x300008); })))->aligned);
}

TEST_CASE("fp8: found scales are written, so they lie apart", "[outputs]") {
  const auto found = [](auto spoil) {
    return fp8([spoil](auto& a) {
      a.spec.out_scale = QKJIT_OUT_SCALE_HEAD;
      a.q_scale = qkjit_tensor_2d(address(0x900000), QKJIT_FP32, 4, 3);
      a.k_scale = qkjit_tensor_2d(address(0x910000), QKJIT_FP32, 4, 2);
      spoil(a);
    });
  };
  CHECK(accepts(found(kNothing)));
  CHECK(refuses({"q_scale is of 4 tokens and 2 heads", "4 and 3"},
                found([](auto& a) { a.q_scale.shape[1] = 2; })));
  CHECK(refuses({"k_scale has rank 1"}, found([](auto& a) {
                  a.k_scale = qkjit_tensor_1d(a.k_scale.data, QKJIT_FP32, 2);
                })));
  CHECK(refuses({"rows of q_scale overlap each other"},
                found([](auto& a) { a.q_scale.strides[0] = 2; })));
  CHECK(refuses({"q_scale overlaps k"}, found([](auto& a) { a.q_scale.data = a.k.data; })));
  CHECK(refuses({"q_scale overlaps k_scale"},
                found([](auto& a) { a.q_scale.data = a.k_scale.data; })));
  CHECK(refuses({"positions lies in the memory of an output"},
                found([](auto& a) { a.q_scale.data = a.positions.data; })));
}

TEST_CASE("fp8: scales that a token's heads share", "[outputs]") {
  const auto shared = [](auto spoil) {
    return fp8([spoil](auto& a) {
      a.spec.out_scale = QKJIT_OUT_SCALE_TOKEN;
      a.q_scale = qkjit_tensor_1d(address(0x900000), QKJIT_FP32, 4);
      a.k_scale = qkjit_tensor_1d(address(0x910000), QKJIT_FP32, 4);
      spoil(a);
    });
  };
  const auto op = check_args(with(shared(kNothing)));
  REQUIRE(op.has_value());
  CHECK((op->outputs.q.token_stride == 1 && op->outputs.q.head_stride == 0));
  CHECK(generic_launch(*op).grid.blocks == 4);
  CHECK(refuses({"q_scale has rank 2", "[tokens]"}, shared([](auto& a) {
                  a.q_scale = qkjit_tensor_2d(a.q_scale.data, QKJIT_FP32, 4, 3);
                })));
  CHECK(refuses({"k_scale is of 3 tokens", "4 and 1"},
                shared([](auto& a) { a.k_scale.shape[0] = 3; })));
  for (const char* field : {"norm_scope=token", "weights=per_head"}) {
    const auto spec = parse_spec(std::string("head_dim=64,rope_dim=64,layout=neox,dtype=bf16,") +
                                 field + ",out=fp8_e4m3,out_scale=token");
    CHECK(fails(supports(*spec), Code::unsupported, {"out_scale=token with", field, "head"}));
  }
}

TEST_CASE("fp8: scales of each sequence keep batches from folding", "[outputs]") {
  const auto of_sequences = [](std::int64_t stride) {
    return with(fp8([stride](auto& a) {
      for (qkjit_tensor* t : {&a.q, &a.k, &a.q_out, &a.k_out}) {
        *t = qkjit_tensor_4d(t->data, t->dtype, 2, 2, t->shape[1], 64);
      }
      a.positions = qkjit_tensor_2d(a.positions.data, QKJIT_INT64, 2, 2);
      a.q_scale = qkjit_tensor_2d(a.q_scale.data, QKJIT_FP32, 2, 3);
      a.q_scale.strides[0] = stride;
    }));
  };
  CHECK(check_args(of_sequences(0))->is_folded);
  const auto apart = check_args(of_sequences(3));
  REQUIRE(apart.has_value());
  CHECK(apart->support.dispatch == Dispatch{Path::generic, Reason::batch});
  CHECK((apart->outputs.q.sequence_stride == 3 && apart->outputs.q.head_stride == 1));
}

TEST_CASE("paged: caches and slots are checked", "[outputs]") {
  CHECK(accepts(paged(kNothing)));
  const auto op = check_args(with(paged(kNothing)));
  REQUIRE(op.has_value());
  CHECK((op->is_folded && op->aligned && op->outputs.block_size == 8));
  CHECK((op->batches.k.out_stride == 8 * 2 * 64 && op->params.k.out_token_stride == 2 * 64));
  CHECK(refuses({"k_out is given", "k_cache"}, paged([](auto& a) {
                  a.k_out = qkjit_tensor_3d(address(0x400000), QKJIT_BF16, 4, 2, 64);
                })));
  CHECK(refuses({"k_cache is not given"}, paged([](auto& a) { a.k_cache = QKJIT_TENSOR_INIT; })));
  CHECK(refuses({"v_cache is not given"}, paged([](auto& a) { a.v_cache = QKJIT_TENSOR_INIT; })));
  CHECK(refuses({"slot_mapping is not given"},
                paged([](auto& a) { a.slot_mapping = QKJIT_TENSOR_INIT; })));
  CHECK(refuses({"slot_mapping is int64", "int32"},
                paged([](auto& a) { a.spec.slots = QKJIT_SLOTS_INT32; })));
  CHECK(refuses({"slot_mapping has 3 slots", "4 tokens"},
                paged([](auto& a) { a.slot_mapping.shape[0] = 3; })));
  CHECK(
      refuses({"k_cache has 3 heads", "k has 2"}, paged([](auto& a) { a.k_cache.shape[2] = 3; })));
  CHECK(
      refuses({"k_cache has last dimension 32"}, paged([](auto& a) { a.k_cache.shape[3] = 32; })));
  CHECK(refuses({"k_cache has 0 blocks"}, paged([](auto& a) { a.k_cache.shape[0] = 0; })));
  CHECK(refuses({"k_cache has rank 3"}, paged([](auto& a) {
                  a.k_cache = qkjit_tensor_3d(a.k_cache.data, QKJIT_BF16, 40, 2, 64);
                })));
  CHECK(refuses({"v_cache has 4 blocks of 8", "5 of 8"},
                paged([](auto& a) { a.v_cache.shape[0] = 4; })));
  CHECK(refuses({"v_cache is given", "v=none"},
                paged([](auto& a) { a.spec.v = QKJIT_V_NONE, a.v = QKJIT_TENSOR_INIT; })));
  CHECK(refuses({"k_cache is given", "cache=none"}, [](auto& a) { a.k_cache = a.k; }));
  CHECK(refuses({"k_cache overlaps v_cache"},
                paged([](auto& a) { a.v_cache.data = address(0xb00000 + 128); })));
  CHECK(refuses({"k_cache overlaps k:"}, paged([](auto& a) { a.k_cache.data = a.k.data; })));
  CHECK(refuses({"slot_mapping lies in the memory of an output"},
                paged([](auto& a) { a.slot_mapping.data = a.v_cache.data; })));
}

TEST_CASE("paged: k and V in one page share no byte, in caches of any length", "[outputs]") {
  for (const bool by_head : {false, true}) {
    CHECK(accepts(paged([&](auto& a) {
      const std::int64_t page = 16 * 2 * 64;
      for (qkjit_tensor* t : {&a.k_cache, &a.v_cache}) {
        *t = qkjit_tensor_4d(address(0x10000000), QKJIT_BF16, 1 << 20, 16, 2, 64);
        t->strides[0] = 2 * page;
        if (by_head) t->strides[1] = 64, t->strides[2] = 16 * 64;
      }
      a.v_cache.data = static_cast<std::byte*>(a.k_cache.data) + 2 * page;
    })));
  }
}

TEST_CASE("outputs: two streams may not meet in a cache or in scales", "[outputs]") {
  const auto op = check_args(with(paged(kNothing)));
  const auto far = [](auto spoil) {
    return check_args(with(paged([spoil](auto& a) {
      for (qkjit_tensor* t : {&a.q_out, &a.k_cache, &a.v_cache}) {
        t->data = static_cast<std::byte*>(t->data) + 0x1000000;
      }
      spoil(a);
    })));
  };
  CHECK(check_apart(*op, *far(kNothing)).has_value());
  const auto meets = check_apart(*op, *far([](auto& a) { a.v_cache.data = address(0xb00080); }));
  CHECK(fails(meets, Code::invalid_argument, {"k_cache of the first", "v_cache of the second"}));
  const auto slots =
      check_apart(*op, *far([](auto& a) { a.slot_mapping.data = address(0xb00080); }));
  CHECK(fails(slots, Code::invalid_argument, {"k_cache of the first", "slot_mapping"}));
}

TEST_CASE("cpu: outputs of every form are what the oracle says", "[outputs]") {
  for (int i = 0; i < 2 * kOutputForms; ++i) {
    for (const DType dtype : {DType::bf16, DType::fp16, DType::fp32}) {
      const ProblemConfig config = config_of(i, dtype, i % 3 == 0 ? Batch::strided : Batch::folded);
      if (has_fp8(config.spec) && config.heads_v == 0 && config.heads_k == 0) continue;
      const Problem before(config);
      Problem after = before;
      run_on_host(after);
      CHECK(first_stray_write(before, after) == "");
      const qkjit_args args = after.args();
      const auto result = oracle::check_call(args);
      REQUIRE(result.has_value());
      INFO(to_text(config) << ": " << result->text);
      CHECK(result->passed);
      if (config.spec.cache == Cache::none) CHECK(result->checked == result->elements);
      CHECK(result->checked * 2 > result->elements);
    }
  }
}

TEST_CASE("the oracle sees what is wrong in FP8", "[outputs]") {
  Problem problem(config_of(9, DType::bf16, Batch::folded));
  run_on_host(problem);
  const qkjit_args args = problem.args();
  const auto spoiled = [&](const qkjit_tensor& tensor, std::size_t at, unsigned bits) {
    auto* const byte = static_cast<unsigned char*>(tensor.data) + at;
    *byte ^= bits;
    const auto result = oracle::check_call(args);
    *byte ^= bits;
    return result->wrong;
  };
  CHECK(oracle::check_call(args)->passed);
  CHECK(spoiled(args.q_out, 5, 0x80) == 1);
  CHECK(spoiled(args.k_out, 0, 0x04) == 1);
  CHECK(spoiled(args.v_out, 3, 0x02) == 1);
  CHECK(spoiled(args.q_scale, 2, 0x20) == 40);  // its head is judged by it
}

TEST_CASE("cpu: a paged cache has what outputs have without one, and nothing else", "[outputs]") {
  for (int i = 0; i < 3 * kOutputForms; ++i) {
    ProblemConfig config = config_of(i, static_cast<DType>(i % 3), Batch::folded);
    if (config.spec.cache == Cache::none) continue;
    Problem cached(config);
    const Problem before = cached;
    config.spec.cache = Cache::none, config.spec = normalized(config.spec);
    Problem plain(config);
    run_on_host(cached);
    run_on_host(plain);
    const qkjit_args c = cached.args(), p = plain.args();
    std::size_t compared = 0;
    for (const auto& [cache, out] : {std::pair{&c.k_cache, &p.k_out}, {&c.v_cache, &p.v_out}}) {
      const std::size_t size = element_size(out->dtype);
      const auto at = [&](const qkjit_tensor& t, std::int64_t element) {
        return static_cast<std::byte*>(t.data) + static_cast<std::size_t>(element) * size;
      };
      std::vector<std::byte> untouched(40 * size, std::byte{0xff});
      std::vector<std::int64_t> token_of(
          static_cast<std::size_t>(cache->shape[0] * cache->shape[1]), -1);
      for (std::int64_t token = 0; token < 9; ++token) {
        const std::int64_t slot =
            c.slot_mapping.dtype == QKJIT_INT64
                ? static_cast<const std::int64_t*>(c.slot_mapping.data)[token]
                : static_cast<const std::int32_t*>(c.slot_mapping.data)[token];
        if (slot >= 0) token_of[static_cast<std::size_t>(slot)] = token;
      }
      for (std::int64_t slot = 0; slot < static_cast<std::int64_t>(token_of.size()); ++slot) {
        for (std::int64_t head = 0; head < out->shape[1]; ++head) {
          const std::int64_t token = token_of[static_cast<std::size_t>(slot)];
          const std::byte* const row =
              at(*cache, slot / cache->shape[1] * cache->strides[0] +
                             slot % cache->shape[1] * cache->strides[1] + head * cache->strides[2]);
          const std::byte* const expected =
              token < 0 ? untouched.data()
                        : at(*out, token * out->strides[0] + head * out->strides[1]);
          INFO(to_text(cached.config()) << ", slot " << slot << " of token " << token);
          CHECK(std::memcmp(row, expected, untouched.size()) == 0);
          compared += token >= 0;
        }
      }
    }
    CHECK(compared > 20);
  }
}

TEST_CASE("cpu: a slot beyond the cache is refused before anything is written", "[outputs]") {
  Problem problem(config_of(2, DType::bf16, Batch::folded));
  const Problem before = problem;
  qkjit_args args = problem.args();
  auto* const slots = static_cast<std::int64_t*>(args.slot_mapping.data);
  slots[7] = args.k_cache.shape[0] * args.k_cache.shape[1];
  const auto runtime = make_runtime(QKJIT_RUNTIME_OPTIONS_INIT);
  CHECK(qkjit_launch(runtime.get(), &args, QKJIT_STREAM_HOST, nullptr) == QKJIT_INVALID_ARGUMENT);
  CHECK(mentions(qkjit_last_error(), {"slot_mapping[7]", "outside", "-1"}));
  for (const Argument& a : before.outputs()) {
    CHECK(before.blocks()[a.block].bytes == problem.blocks()[a.block].bytes);
  }
}

TEST_CASE("cpu: a row of zeros is zeros in FP8, with the least scale", "[outputs]") {
  ProblemConfig config = config_of(9, DType::bf16, Batch::folded);
  config.spec.q_norm = config.spec.k_norm = Norm::none;
  config.spec = normalized(config.spec), config.strides = Strides::contiguous;
  Problem problem(config);
  const qkjit_args args = problem.args();
  std::memset(args.q.data, 0, 2 * 40);
  run_on_host(problem);
  CHECK(*static_cast<const float*>(args.q_scale.data) == 1.0f / (448 * 512));
  for (int i = 0; i < 40; ++i) {
    CHECK(oracle::decode_e4m3(static_cast<const unsigned char*>(args.q_out.data)[i]) == 0);
  }
}
