// The checks of a call: each wrong argument is named, with what was given and what is needed.
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <limits>
#include <vector>

#include "tests/unit/spoiled_args.hpp"

using namespace qkjit;

namespace {

constexpr std::int64_t kHuge = std::numeric_limits<std::int64_t>::max();

}  // namespace

TEST_CASE("a good call becomes the kernel's parameters", "[op]") {
  qkjit_args args = fake_args();
  args.position_offset = 6;
  args.eps = 1e-5f;
  args.path = QKJIT_PATH_GENERIC;
  const auto op = check_args(args);
  REQUIRE(op.has_value());
  CHECK(op->spec == Spec{64, 64, Layout::neox});
  CHECK(op->support.dispatch.path == Path::fused);
  CHECK(op->requested == Path::generic);
  CHECK(op->tokens == 4);
  CHECK(op->table_rows == 10);
  const Params& p = op->params;
  CHECK((p.q.in == args.q.data && p.q.out == args.q_out.data && p.q.weight == args.q_weight.data));
  CHECK((p.k.in == args.k.data && p.k.out == args.k_out.data && p.k.weight == args.k_weight.data));
  CHECK((p.q.in_token_stride == 192 && p.q.in_head_stride == 64 && p.q.heads == 3));
  CHECK((p.k.out_token_stride == 128 && p.k.out_head_stride == 64 && p.k.heads == 2));
  CHECK((p.cosines == args.cos_sin_cache.data && p.positions == args.positions.data));
  CHECK(static_cast<const char*>(p.sines) - static_cast<const char*>(p.cosines) == 32 * 4);
  CHECK((p.table_row_bytes == 64 * 4 && p.position_axis_stride == 0));
  CHECK((p.position_offset == 6 && p.row_count == 20 && p.eps == 1e-5f));
}

TEST_CASE("wrong settings are refused", "[op]") {
  CHECK(refuses({"qkjit_args.struct_size is 8", "QKJIT_ARGS_INIT"},
                [](auto& a) { a.struct_size = 8; }));
  CHECK(refuses({"qkjit_spec.struct_size is 0", "QKJIT_SPEC_INIT"},
                [](auto& a) { a.spec.struct_size = 0; }));
  CHECK(refuses({"rope_dim=63", "odd"}, [](auto& a) { a.spec.rope_dim = 63; }));
  CHECK(refuses({"rope_dim=66", "head_dim=64"}, [](auto& a) { a.spec.rope_dim = 66; }));
  CHECK(refuses({"dtype 3", "out of range"}, [](auto& a) { a.spec.dtype = QKJIT_INT32; }));
  // Also one that means nothing here, and would be left out of the spec.
  const auto bad = [](auto& field) {  // as C may have it
    const int number = 9;
    std::memcpy(&field, &number, sizeof(number));
  };
  CHECK(refuses({"weight_dtype 9"}, [&](auto& a) { bad(a.spec.weight_dtype); }));
  CHECK(refuses({"placement 9"}, [&](auto& a) { bad(a.spec.placement); }));
  CHECK(refuses({"section_order 9"}, [&](auto& a) { bad(a.spec.section_order); }));
  CHECK(refuses({"norm_scope 9"}, [&](auto& a) { bad(a.spec.norm_scope); }));
  CHECK(refuses({"weights 9"}, [&](auto& a) { bad(a.spec.weights); }));
  CHECK(refuses({"batch 9"}, [&](auto& a) { bad(a.spec.batch); }));
  CHECK(refuses({"v 9"}, [&](auto& a) { bad(a.spec.v); }));
  CHECK(refuses({"norm_order 9"}, [&](auto& a) { bad(a.spec.norm_order), a.spec.rope_dim = 0; }));
  CHECK(refuses({"eps is -1", "not negative"}, [](auto& a) { a.eps = -1; }));
  CHECK(refuses({"eps is nan", "finite"}, [](auto& a) { a.eps = NAN; }));
  CHECK(refuses({"eps is inf", "finite"}, [](auto& a) { a.eps = INFINITY; }));
  CHECK(accepts([](auto& a) { a.eps = 0; }));
  CHECK(refuses({"path is 3", "QKJIT_PATH_NONE"}, [](auto& a) { a.path = QKJIT_PATH_CPU; }));
  CHECK(fails(check_args(with([](auto& a) { a.spec.head_dim = 1025; })), Code::unsupported,
              {"head_dim=1025", "1024"}));
}

TEST_CASE("wrong tensors of heads are refused", "[op]") {
  CHECK(refuses({"q has rank 2", "[tokens, heads, head_dim]"}, [](auto& a) { a.q.rank = 2; }));
  CHECK(refuses({"k has rank 5"}, [](auto& a) { a.k.rank = 5; }));
  CHECK(refuses({"q_out has rank 0"}, [](auto& a) { a.q_out.rank = 0; }));
  CHECK(refuses({"q_out is null"}, [](auto& a) { a.q_out.data = nullptr; }));
  CHECK(refuses({"q is fp16", "needs bf16"}, [](auto& a) { a.q.dtype = QKJIT_FP16; }));
  CHECK(refuses({"k_out is fp32", "needs bf16"}, [](auto& a) { a.k_out.dtype = QKJIT_FP32; }));
  CHECK(
      refuses({"k is an unknown dtype"}, [](auto& a) { a.k.dtype = static_cast<qkjit_dtype>(7); }));
  CHECK(refuses({"q has last dimension 63", "head_dim=64"}, [](auto& a) { a.q.shape[2] = 63; }));
  CHECK(refuses({"k has no heads"}, [](auto& a) { a.k.shape[1] = 0; }));
  CHECK(refuses({"q has shape -4", "negative"}, [](auto& a) { a.q.shape[0] = -4; }));
  CHECK(refuses({"k has shape 2 and stride -64", "dimension 1"},
                [](auto& a) { a.k.strides[1] = -64; }));
  CHECK(refuses({"q has last stride 2", "must be 1"}, [](auto& a) { a.q.strides[2] = 2; }));
  CHECK(refuses({"q is null"}, [](auto& a) { a.q.data = nullptr; }));
  CHECK(refuses({"k at 0x200001", "bf16"}, [](auto& a) { a.k.data = address(0x200001); }));
  CHECK(refuses({"q has 4 tokens and k has 5"},
                [](auto& a) { a.k.shape[0] = a.k_out.shape[0] = 5; }));
  CHECK(refuses({"q_out is [4, 2, 64]", "[4, 3, 64]"}, [](auto& a) { a.q_out.shape[1] = 2; }));
  CHECK(refuses({"k_out is [3, 2, 64]", "[4, 2, 64]"}, [](auto& a) { a.k_out.shape[0] = 3; }));
}

TEST_CASE("wrong weights, tables and positions are refused", "[op]") {
  CHECK(refuses({"q_weight is null"}, [](auto& a) { a.q_weight.data = nullptr; }));
  CHECK(refuses({"k_weight has rank 2"}, [](auto& a) { a.k_weight.rank = 2; }));
  CHECK(refuses({"k_weight has 32 elements", "head_dim=64"},
                [](auto& a) { a.k_weight.shape[0] = 32; }));
  CHECK(refuses({"q_weight is fp32", "bf16"}, [](auto& a) { a.q_weight.dtype = QKJIT_FP32; }));
  CHECK(refuses({"q_weight has last stride 2"}, [](auto& a) { a.q_weight.strides[0] = 2; }));

  CHECK(refuses({"cos_sin_cache is null"}, [](auto& a) { a.cos_sin_cache.data = nullptr; }));
  CHECK(refuses({"cos_sin_cache is not given"}, [](auto& a) { a.cos_sin_cache = {}; }));
  CHECK(refuses({"cos_sin_cache is bf16", "needs fp32"},
                [](auto& a) { a.cos_sin_cache.dtype = QKJIT_BF16; }));
  CHECK(refuses({"cos_sin_cache is [10, 32]", "rope_dim=64"},
                [](auto& a) { a.cos_sin_cache.shape[1] = 32; }));
  CHECK(refuses({"cos_sin_cache has row stride 63", "at least 64"},
                [](auto& a) { a.cos_sin_cache.strides[0] = 63; }));
  CHECK(refuses({"cos_sin_cache has no rows"}, [](auto& a) { a.cos_sin_cache.shape[0] = 0; }));
  CHECK(refuses({"cos_sin_cache at 0x700002"},
                [](auto& a) { a.cos_sin_cache.data = address(0x700002); }));

  CHECK(refuses({"positions is null"}, [](auto& a) { a.positions.data = nullptr; }));
  CHECK(refuses({"positions is int32", "needs int64"},
                [](auto& a) { a.positions.dtype = QKJIT_INT32; }));
  CHECK(
      refuses({"positions has 5 elements", "4 tokens"}, [](auto& a) { a.positions.shape[0] = 5; }));
  CHECK(refuses({"positions are given", "positions=implicit"},
                [](auto& a) { a.spec.positions = QKJIT_POSITIONS_IMPLICIT; }));
}

TEST_CASE("no norm takes no weights", "[op]") {
  const auto without_norm = [](qkjit_args& a) { a.spec.q_norm = a.spec.k_norm = QKJIT_NORM_NONE; };
  CHECK(refuses({"q_weight is given", "norm=none"}, without_norm));
  CHECK(accepts([&](qkjit_args& a) {
    without_norm(a);
    a.q_weight = a.k_weight = QKJIT_TENSOR_INIT;
  }));
  CHECK(refuses({"q_weight is not given"}, [](auto& a) { a.q_weight = QKJIT_TENSOR_INIT; }));
}

TEST_CASE("weights are given as the spec says, for q and for k", "[op]") {
  const auto weightless = [](qkjit_args& a) { a.spec.weight = QKJIT_WEIGHT_NONE; };
  CHECK(refuses({"q_weight is given", "weight=none for q", "weight=plain"}, weightless));
  CHECK(accepts([&](qkjit_args& a) {
    weightless(a);
    a.q_weight = a.k_weight = QKJIT_TENSOR_INIT;
  }));
  const auto only_q = [](qkjit_args& a) { a.spec.k_norm = QKJIT_NORM_NONE; };
  CHECK(refuses({"k_weight is given", "norm=none for k"}, only_q));
  CHECK(accepts([&](qkjit_args& a) { only_q(a), a.k_weight = QKJIT_TENSOR_INIT; }));
  const auto in_fp32 = [](qkjit_args& a) { a.spec.weight_dtype = QKJIT_WEIGHT_DTYPE_FP32; };
  CHECK(refuses({"q_weight is bf16", "needs fp32"}, in_fp32));
  CHECK(accepts([&](qkjit_args& a) {
    in_fp32(a);
    a.q_weight.dtype = a.k_weight.dtype = QKJIT_FP32;
  }));
}

TEST_CASE("a bias belongs to a LayerNorm", "[op]") {
  const auto with_bias = [](qkjit_args& a) {
    a.spec.q_norm = a.spec.k_norm = QKJIT_NORM_LAYER;
    a.spec.bias = QKJIT_BIAS_YES;
    a.q_bias = qkjit_tensor_1d(address(0x900000), QKJIT_BF16, 64);
    a.k_bias = qkjit_tensor_1d(address(0xa00000), QKJIT_BF16, 64);
  };
  const auto op = check_args(with(with_bias));
  REQUIRE(op.has_value());
  CHECK((op->params.q.bias == address(0x900000) && op->params.k.bias == address(0xa00000)));
  CHECK(op->aligned);
  const auto spoilt = [&](auto spoil) { return [=](qkjit_args& a) { with_bias(a), spoil(a); }; };
  CHECK(refuses({"q_bias is not given"}, spoilt([](auto& a) { a.q_bias = QKJIT_TENSOR_INIT; })));
  CHECK(refuses({"k_bias has 32 elements", "head_dim=64"},
                spoilt([](auto& a) { a.k_bias.shape[0] = 32; })));
  CHECK(refuses({"k_bias is fp32", "bf16"}, spoilt([](auto& a) { a.k_bias.dtype = QKJIT_FP32; })));
  CHECK(refuses({"q_bias is given", "bias=no"},
                spoilt([](auto& a) { a.spec.bias = QKJIT_BIAS_NO; })));
  CHECK(refuses({"k_bias is given", "norm=rms for k", "norm=layer"},
                spoilt([](auto& a) { a.spec.k_norm = QKJIT_NORM_RMS; })));
  CHECK(refuses({"q_bias", "output"}, spoilt([](auto& a) { a.q_bias.data = a.k_out.data; })));
  CHECK(refuses({"bias=yes without a LayerNorm"},
                spoilt([](auto& a) { a.spec.q_norm = a.spec.k_norm = QKJIT_NORM_RMS; })));
  CHECK_FALSE(
      check_args(with(spoilt([](auto& a) { a.k_bias.data = address(0xa00008); })))->aligned);
}

TEST_CASE("a norm across heads takes weights of all heads, of q and of k", "[op]") {
  const auto across = [](qkjit_args& a) {
    a.spec.norm_scope = QKJIT_NORM_SCOPE_TOKEN;
    a.q_weight.shape[0] = 3 * 64, a.k_weight.shape[0] = 2 * 64;
  };
  const auto op = check_args(with(across));
  REQUIRE(op.has_value());
  CHECK(op->params.q.inv_width == 1.0f / 192);
  CHECK(op->params.k.inv_width == 1.0f / 128);
  CHECK(check_args(with([](qkjit_args&) {}))->params.q.inv_width == 0);
  CHECK(refuses({"q_weight has 64 elements", "heads*head_dim=192", "3 heads of 64"},
                [&](auto& a) { across(a), a.q_weight.shape[0] = 64; }));
  CHECK(refuses({"k_weight has 192 elements", "heads*head_dim=128"},
                [&](auto& a) { across(a), a.k_weight.shape[0] = 192; }));
  CHECK(refuses({"q_weight is not given", "[heads * head_dim]"},
                [&](auto& a) { across(a), a.q_weight = QKJIT_TENSOR_INIT; }));
  CHECK(refuses({"q_weight has 192 elements", "head_dim=64"},
                [&](auto& a) { across(a), a.spec.norm_scope = QKJIT_NORM_SCOPE_HEAD; }));
  // 384 bytes long, it ends in an output; 128 bytes would not.
  CHECK(refuses({"q_weight", "output"},
                [&](auto& a) { across(a), a.q_weight.data = address(0x300000 - 256); }));
  CHECK(accepts([](auto& a) { a.q_weight.data = address(0x300000 - 256); }));
}

TEST_CASE("weights of each head are as long as all heads", "[op]") {
  const auto own = [](qkjit_args& a) {
    a.spec.weights = QKJIT_WEIGHTS_PER_HEAD;
    a.q_weight.shape[0] = 3 * 64, a.k_weight.shape[0] = 2 * 64;
  };
  CHECK(accepts(own));
  CHECK(refuses({"k_weight has 64 elements", "heads*head_dim=128", "weights=per_head"},
                [&](auto& a) { own(a), a.k_weight.shape[0] = 64; }));
  CHECK(refuses({"q_bias has 64 elements", "heads*head_dim=192"}, [&](auto& a) {
    own(a);
    a.spec.q_norm = a.spec.k_norm = QKJIT_NORM_LAYER, a.spec.bias = QKJIT_BIAS_YES;
    a.q_bias = qkjit_tensor_1d(address(0x900000), QKJIT_BF16, 64);
    a.k_bias = qkjit_tensor_1d(address(0xa00000), QKJIT_BF16, 128);
  }));
}

TEST_CASE("vectors of another type than the rows are looked at in their own size", "[op]") {
  // 256 bytes of fp32, of which the last lie in an output.
  CHECK(refuses({"k_weight", "output"}, [](auto& a) {
    a.spec.weight_dtype = QKJIT_WEIGHT_DTYPE_FP32;
    a.q_weight.dtype = a.k_weight.dtype = QKJIT_FP32;
    a.k_weight.data = address(0x300000 - 192);
  }));
  CHECK(accepts([](auto& a) { a.k_weight.data = address(0x300000 - 128); }));
}

TEST_CASE("gaps between heads are noticed, in and out", "[op]") {
  const auto gapless = [](auto spoil) { return check_args(with(spoil))->takes_bulk; };
  CHECK(gapless([](auto&) {}));
  CHECK(gapless([](auto& a) { a.q.strides[0] = 1024; }));
  CHECK_FALSE(gapless([](auto& a) { a.q.strides[1] = 72, a.q.strides[0] = 512; }));
  CHECK_FALSE(gapless([](auto& a) { a.k_out.strides[1] = 128, a.k_out.strides[0] = 512; }));
}

TEST_CASE("no tokens need no memory", "[op]") {
  const auto op = check_args(with([](auto& a) {
    for (qkjit_tensor* t : {&a.q, &a.k}) t->shape[0] = 0, t->data = nullptr;
    a.q_out = a.k_out = a.q_weight = a.k_weight = a.cos_sin_cache = a.positions = QKJIT_TENSOR_INIT;
  }));
  REQUIRE(op.has_value());
  CHECK(op->tokens == 0);
  CHECK(op->params.row_count == 0);
}

TEST_CASE("sizes that no address holds are refused", "[op]") {
  CHECK(refuses({"q with shape [4, 3, 64]", "63-bit", "count elements"},
                [](auto& a) { a.q.strides[0] = kHuge / 2; }));
  CHECK(refuses({"k_out with shape", "63-bit"}, [](auto& a) { a.k_out.strides[1] = kHuge; }));
  CHECK(refuses({"heads", "split"}, [](auto& a) {
    a.q.shape[1] = a.q_out.shape[1] = kHuge / 128, a.q.strides[1] = a.q_out.strides[1] = 0;
    a.q.shape[0] = a.q_out.shape[0] = a.k.shape[0] = a.k_out.shape[0] = a.positions.shape[0] = 1;
  }));
  CHECK(accepts([](auto& a) {  // never used without tokens
    for (qkjit_tensor* t : {&a.q, &a.k, &a.q_out, &a.k_out}) t->shape[0] = 0;
    a.q.strides[1] = kHuge;
  }));
  CHECK(refuses({"1073741824 tokens of 3 and 2 heads", "split"}, [](auto& a) {
    for (qkjit_tensor* t : {&a.q, &a.k, &a.q_out, &a.k_out}) t->shape[0] = 1 << 30;
  }));
}

TEST_CASE("the stride of a single token or head is never used", "[op]") {
  for (const std::int64_t stride : {std::int64_t{0}, std::int64_t{1}, std::int64_t{-3}, kHuge}) {
    const auto op = check_args(with([&](auto& a) {
      for (qkjit_tensor* t : {&a.q, &a.k, &a.q_out, &a.k_out}) {
        t->shape[0] = t->shape[1] = 1;
        t->strides[0] = t->strides[1] = stride;
      }
      a.positions.shape[0] = 1;
    }));
    INFO("stride " << stride << (op ? "" : op.error().message));
    REQUIRE(op.has_value());
    CHECK(op->aligned);
  }
}

TEST_CASE("the fused kernel's alignment is noticed", "[op]") {
  const auto aligned = [](auto spoil) { return check_args(with(spoil))->aligned; };
  CHECK(aligned([](auto&) {}));
  CHECK(aligned([](auto& a) { a.positions.data = address(0x800008); }));
  CHECK(aligned([](auto& a) { a.k.strides[0] = 136; }));
  CHECK_FALSE(aligned([](auto& a) { a.q.data = address(0x100008); }));
  CHECK_FALSE(aligned([](auto& a) { a.k_out.data = address(0x400002); }));
  CHECK_FALSE(aligned([](auto& a) { a.k.strides[0] = 132; }));
  CHECK_FALSE(aligned([](auto& a) { a.q_out.strides[1] = 68, a.q_out.strides[0] = 256; }));
  CHECK_FALSE(aligned([](auto& a) { a.k_weight.data = address(0x600008); }));
  CHECK_FALSE(aligned([](auto& a) { a.cos_sin_cache.data = address(0x700004); }));
  CHECK_FALSE(aligned([](auto& a) { a.cos_sin_cache.strides[0] = 66; }));
  CHECK(aligned([](auto& a) { a.cos_sin_cache.strides[0] = 68; }));
  CHECK(aligned([](auto& a) { a.cos_sin_cache.strides[0] = 66, a.cos_sin_cache.shape[0] = 1; }));
  CHECK_FALSE(aligned([](auto& a) {
    take_apart(a);
    a.sin.data = address(0x780008);
  }));
  const auto bf16 = [](int rope_dim, std::uintptr_t at) {
    return [=](auto& a) {
      a.spec.table = QKJIT_BF16;
      a.spec.rope_dim = rope_dim;
      a.cos_sin_cache = qkjit_tensor_2d(address(at), QKJIT_BF16, 10, rope_dim);
    };
  };
  CHECK(aligned(bf16(64, 0x700000)));
  CHECK_FALSE(aligned(bf16(64, 0x700008)));
  CHECK(aligned(bf16(56, 0x700008)));  // quads of 8 bytes
  CHECK_FALSE(aligned(bf16(56, 0x700004)));
  CHECK(aligned(bf16(60, 0x700002)));  // one by one
  CHECK_FALSE(aligned([&](auto& a) {   // two values an angle: quads of 16 bytes
    bf16(56, 0x700008)(a);
    a.spec.layout = QKJIT_INTERLEAVED, a.spec.table_width = QKJIT_TABLE_FULL;
    a.cos_sin_cache = qkjit_tensor_2d(address(0x700008), QKJIT_BF16, 10, 112);
  }));
  CHECK(aligned([](auto& a) {  // axes in turns: one by one
    take_sections(a);
    a.spec.section_order = QKJIT_SECTIONS_INTERLEAVED;
    a.cos_sin_cache.data = address(0x700004);
  }));
}

TEST_CASE("outputs over what other rows still read are refused", "[op]") {
  CHECK(refuses({"q_weight", "output"}, [](auto& a) { a.q_weight.data = a.k_out.data; }));
  CHECK(refuses({"k_weight", "output"}, [](auto& a) { a.k_weight.data = a.q_out.data; }));
  CHECK(refuses({"cos_sin_cache", "output"}, [](auto& a) { a.cos_sin_cache.data = a.q_out.data; }));
  CHECK(refuses({"positions", "output"}, [](auto& a) { a.positions.data = a.k_out.data; }));
  CHECK(refuses({"sin lies", "output"}, [](auto& a) {
    take_apart(a);
    a.sin.data = a.k_out.data;
  }));
  CHECK(refuses({"positions", "output"}, [](auto& a) {  // the last axis alone
    take_sections(a);
    a.positions.data = static_cast<char*>(a.k_out.data) - 2 * 8 * 100;
    a.positions.strides[0] = 100;
  }));
}
