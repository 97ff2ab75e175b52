#include "tools/qkjit/bench/cases.hpp"

#include <algorithm>

#include "spec/text.hpp"

namespace qkjit::bench {
namespace {

constexpr Spec kUsual{.head_dim = 128,
                      .rope_dim = 128,
                      .layout = Layout::interleaved,
                      .dtype = DType::bf16,
                      .rounding = Rounding::fused,
                      .positions = Positions::int64};

Spec usual(Layout layout) {
  Spec spec = kUsual;
  spec.layout = layout;
  return spec;
}

const char* name_of(Layout layout) { return layout == Layout::neox ? "neox" : "interleaved"; }

Spec with_dims(Spec spec, int head_dim, int rope_dim) {
  spec.head_dim = head_dim;
  spec.rope_dim = rope_dim;
  return spec;
}

Case grid_case(const Spec& spec, std::int64_t tokens, int heads_q, int heads_k) {
  Case result = spec_case(spec, tokens, heads_q, heads_k);
  const char* dtype = spec.dtype == DType::fp16   ? "fp16 "
                      : spec.dtype == DType::fp32 ? "fp32 "
                                                  : "";
  result.group = "grid";
  result.name = fmt::format("{}x{}+{} {}{} {}/{}", tokens, heads_q, heads_k, dtype,
                            name_of(spec.layout), spec.rope_dim, spec.head_dim);
  return result;
}

}  // namespace

bool same_shape(const Case& a, const Case& b) {
  return a.spec == b.spec && a.tokens == b.tokens && a.heads_q == b.heads_q &&
         a.heads_k == b.heads_k && a.view.row_stride == b.view.row_stride &&
         a.view.q_offset == b.view.q_offset && a.view.k_offset == b.view.k_offset &&
         a.random_positions == b.random_positions;
}

std::string norm_only(Spec spec) {
  spec.rope_dim = 0;
  spec.q_out = spec.k_out = Out::same, spec.cache = Cache::none, spec.v = Values::none;
  return to_text(normalized(spec));
}

std::string rope_only(Spec spec) {
  spec.q_norm = spec.k_norm = Norm::none;
  spec.bias = Bias::no;
  return to_text(normalized(spec));
}

std::vector<Case> model_cases(const Model& model) {
  std::vector<Case> cases;
  for (const Call& call : model.calls) {
    const Attention& attention = model.attention(call.attention);
    Case result{.group = "models",
                .name = model.name + "/" + call.name,
                .spec = spec_of(model, call),
                .tokens = call.tokens,
                .heads_q = call.heads_q,
                .heads_k = call.heads_k,
                .view = call.view.value_or(PackedView{}),
                .position_offset = call.position_offset,
                .eps = static_cast<float>(attention.eps)};
    if (result.spec.rope_dim > 0) {
      for (const std::string& segment : model.table(call.table).segments) {
        result.table_rows += model.segment(segment).tokens();
      }
    }
    cases.push_back(std::move(result));
  }
  return cases;
}

std::vector<Case> measured_cases() {
  struct Row {
    Layout layout;
    std::int64_t tokens;
    int heads_q, heads_k;
  };
  static constexpr auto kInterleaved = Layout::interleaved, kNeox = Layout::neox;
  static constexpr Row kRows[] = {
      {kInterleaved, 19, 24, 24},   {kInterleaved, 32, 30, 30},    {kInterleaved, 47, 24, 24},
      {kInterleaved, 64, 32, 8},    {kInterleaved, 189, 24, 24},   {kInterleaved, 195, 24, 24},
      {kInterleaved, 256, 24, 24},  {kInterleaved, 1024, 24, 24},  {kInterleaved, 4096, 24, 24},
      {kInterleaved, 4096, 30, 30}, {kInterleaved, 4128, 30, 30},  {kInterleaved, 8192, 32, 8},
      {kInterleaved, 8424, 24, 24}, {kInterleaved, 33280, 24, 24}, {kInterleaved, 75600, 40, 40},
      {kNeox, 4096, 24, 24},        {kNeox, 4096, 30, 30},         {kNeox, 8424, 24, 24},
      {kNeox, 75600, 40, 40}};
  std::vector<Case> cases;
  for (const Row& row : kRows) {
    cases.push_back(spec_case(usual(row.layout), row.tokens, row.heads_q, row.heads_k));
    cases.back().group = "measured";
    cases.back().name =
        fmt::format("{}x{}+{} {}", row.tokens, row.heads_q, row.heads_k, name_of(row.layout));
  }
  return cases;
}

std::vector<Case> grid_cases() {
  std::vector<Case> cases;
  for (const Layout layout : {Layout::interleaved, Layout::neox}) {
    for (const std::int64_t tokens : {4096, 16384}) {
      for (const int head_dim : {64, 128, 256}) {
        for (const int rope_dim : {head_dim, head_dim / 2}) {
          cases.push_back(grid_case(with_dims(usual(layout), head_dim, rope_dim), tokens, 24, 24));
        }
      }
    }
    for (const DType dtype : {DType::fp16, DType::fp32}) {
      Spec spec = usual(layout);
      spec.dtype = dtype;
      cases.push_back(grid_case(spec, 4096, 24, 24));
    }
    for (const int head_dim : {72, 80, 96, 112, 160, 192}) {
      cases.push_back(grid_case(with_dims(usual(layout), head_dim, head_dim), 8192, 24, 24));
    }
  }
  cases.push_back(grid_case(with_dims(usual(Layout::neox), 128, 96), 8192, 24, 24));
  for (const std::int64_t tokens : {4096, 16384}) {
    Case packed = grid_case(usual(Layout::interleaved), tokens, 24, 24);
    packed.name += " packed QKV";
    packed.view = {.row_stride = 3 * 24 * 128, .q_offset = 0, .k_offset = 24 * 128};
    cases.push_back(std::move(packed));
  }
  for (const int form : {0, 1, 2, 3, 4}) {  // FP8, and into a paged cache
    Spec spec = usual(Layout::neox);
    if (form != 2) spec.q_out = spec.k_out = Out::fp8_e4m3;
    if (form == 1) spec.out_scale = OutScale::head;
    if (form == 4) spec.out_scale = OutScale::token;
    if (form == 2 || form == 3) spec.cache = Cache::paged, spec.v = Values::copy;
    constexpr const char* kNames[] = {"fp8", "fp8 by head", "paged", "paged fp8", "fp8 by token"};
    cases.push_back(grid_case(spec, 16384, 32, 8));
    cases.back().name += fmt::format(" {}", kNames[form]);
  }
  for (const int heads_q : {4, 8}) {  // what tensor parallelism leaves to one GPU
    cases.push_back(grid_case(usual(Layout::neox), 8192, heads_q, 1));
  }
  return cases;
}

Case spec_case(const Spec& spec, std::int64_t tokens, int heads_q, int heads_k) {
  Case result{.group = "spec",
              .name = fmt::format("{}x{}+{}", tokens, heads_q, heads_k),
              .spec = spec,
              .tokens = tokens,
              .heads_q = heads_q,
              .heads_k = heads_k};
  if (spec.rope_dim > 0) {
    result.random_positions = spec.positions != Positions::implicit;
    result.table_rows = result.random_positions ? kRandomTableRows : tokens;
  }
  return result;
}

std::vector<Case> without_duplicates(const std::vector<Case>& cases) {
  std::vector<Case> unique;
  for (const Case& candidate : cases) {
    const auto equal = std::ranges::find_if(
        unique, [&](const Case& known) { return same_shape(known, candidate); });
    if (equal == unique.end()) {
      unique.push_back(candidate);
    } else {
      equal->also.push_back(candidate.full_name());
    }
  }
  return unique;
}

}  // namespace qkjit::bench
