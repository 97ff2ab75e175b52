// Specs as translation units, and the key that names what they compile to.
#include "codegen/source.hpp"

#include <fmt/ranges.h>
#include <sodium.h>
#include <stdlib.h>

#include <algorithm>
#include <array>
#include <bit>
#include <set>

#include "jit/jit.hpp"
#include "tests/catch.hpp"
#include "tests/unit/temporary_directory.hpp"
#include "tuning/default_variant.hpp"

using namespace qkjit;

namespace {

const Spec kSpec = {.head_dim = 128, .rope_dim = 64, .layout = Layout::neox};
const Variant kVariant = {.lanes = 8, .rows = 2, .threads = 128};

/// kSpec and specs that differ from it in one field or two, and from one another.
std::vector<Spec> neighbours() {
  std::vector<Spec> specs(49, kSpec);
  specs[1].head_dim = 136;
  specs[2].rope_dim = 62;
  specs[3].layout = Layout::interleaved;
  specs[4].dtype = DType::fp16;
  specs[5].dtype = DType::fp32;
  specs[6].rounding = Rounding::split;
  specs[7].rounding = Rounding::eager;
  specs[8].rounding = Rounding::hf;
  specs[9].rounding = Rounding::late_weight;
  specs[10].positions = Positions::int32;
  specs[11].positions = Positions::implicit;
  specs[12].q_norm = Norm::none;
  specs[13].k_norm = Norm::none;
  specs[14].q_norm = specs[14].k_norm = Norm::none;
  specs[15].q_norm = specs[15].k_norm = Norm::layer;
  specs[16].weight = Weight::one_plus;
  specs[17].weight = Weight::none;
  specs[18].weight_dtype = WeightDType::fp32;
  specs[19].weight_dtype = WeightDType::fp16;
  specs[20].norm_order = NormOrder::after;
  specs[21].k_norm = Norm::layer;
  specs[22].k_norm = Norm::layer, specs[22].bias = Bias::yes;
  specs[23].table = DType::bf16;
  specs[24].table = DType::fp16;
  specs[25].table_width = TableWidth::full;
  specs[26].table_width = TableWidth::elements;
  specs[27].placement = RopePlacement::tail;
  for (std::size_t i : {28, 29, 30}) std::ranges::copy(std::array{12, 10, 10}, specs[i].sections);
  specs[29].section_order = SectionOrder::interleaved;
  specs[30].sections[0] = 10, specs[30].sections[1] = 12;
  specs[31].rounding = Rounding::hf_eager;
  specs[32].rounding = Rounding::late_weight_eager;
  specs[33].norm_scope = NormScope::token;
  specs[34].angles = Angles::computed;
  specs[35].weights = Weights::per_head;
  specs[36].batch = Batch::strided;
  specs[37].v = Values::copy;
  specs[38].positions = Positions::segments;
  specs[39].table_heads = TableHeads::per_head;
  specs[40].bounds = Bounds::checked;
  std::ranges::copy(std::array{12, 10, 10}, specs[41].sections);
  specs[41].positions = Positions::grid;
  specs[42].q_out = Out::fp8_e4m3;
  specs[43].k_out = Out::fp8_e4m3;
  specs[44].q_out = Out::fp8_e4m3, specs[44].out_scale = OutScale::head;
  specs[45].cache = Cache::paged;
  specs[46].cache = Cache::paged, specs[46].slots = Slots::int32;
  specs[47].q_out = specs[47].k_out = Out::fp8_e4m3;
  specs[48].q_out = Out::fp8_e4m3, specs[48].out_scale = OutScale::token;
  return specs;
}

}  // namespace

TEST_CASE("a translation unit is one include and one instantiation", "[codegen]") {
  const Source source = fused_source(kSpec, {.lanes = 8, .rows = 2, .threads = 64, .pdl = true});
  CHECK(source.text ==
        R"(#include "fused.cuh"

extern "C" __global__ void __launch_bounds__(64)
qkjit_hd128_rd64_neox_bf16_int64(const __grid_constant__ qkjit::FusedParams params) {
  qkjit::fused<qkjit::Spec{.head_dim = 128, .rope_dim = 64, .layout = qkjit::Layout::neox, .dtype = qkjit::DType::bf16},
               qkjit::Variant{.lanes = 8, .rows = 2, .threads = 64, .pdl = true}>(params, blockIdx.x);
}
)");
  Spec strided = kSpec;
  strided.batch = Batch::strided;
  CHECK(fused_source(strided, {.lanes = 8, .threads = 64}).text.find("BatchedParams params") !=
        std::string::npos);
  strided.cache = Cache::paged;
  CHECK(fused_source(strided, {.lanes = 8, .threads = 64}).text.find("OutputParams params") !=
        std::string::npos);
  CHECK(source.entry == "qkjit_hd128_rd64_neox_bf16_int64");
  CHECK(source.file == "/qkjit/qkjit_hd128_rd64_neox_bf16_int64.cu");
}

TEST_CASE("a kernel of two streams has both specs, and a key of its own", "[codegen]") {
  const Spec text{.head_dim = 128, .rope_dim = 0, .positions = Positions::implicit};
  const auto key = [](const Streams& streams) {
    return kernel_key(streams, Variants(kVariant), "sm_90").digest();
  };
  const Source source = fused_source(Streams(kSpec, text), Variants(kVariant));
  CHECK(source.entry == "qkjit_dual_hd128_rd64_neox_bf16_int64_and_hd128_rd0_interleaved_bf16");
  CHECK(source.text.find("#include \"dual.cuh\"") == 0);
  CHECK(source.text.find("DualParams params") != std::string::npos);
  const std::set<std::string> keys = {key(kSpec), key(text), key({kSpec, text}), key({text, kSpec}),
                                      key({kSpec, kSpec})};
  CHECK(keys.size() == 5);
  CHECK(fused_source(Streams(kSpec), Variants(kVariant)).text ==
        fused_source(kSpec, kVariant).text);
}

TEST_CASE("where heads have vectors of their own, a kernel runs by token", "[codegen]") {
  Spec per_head = kSpec;
  per_head.weights = Weights::per_head;
  CHECK(fused_source(per_head, {.lanes = 8, .threads = 256, .span = Span::token})
            .text.find("qkjit::fused_by_token<") != std::string::npos);
  Spec spec = kSpec;
  spec.norm_scope = NormScope::token;
  const Source source = fused_source(spec, {.lanes = 8, .threads = 512, .span = Span::token});
  CHECK(source.text.starts_with("#include \"fused_by_token.cuh\"\n"));
  CHECK(source.text.find("qkjit::fused_by_token<") != std::string::npos);
  CHECK(source.text.find(".norm_scope = qkjit::NormScope::token}") != std::string::npos);
  CHECK(source.entry == "qkjit_hd128_rd64_neox_bf16_int64_across");
  CHECK(generic_entry({DType::fp16, kGenericMaxSlots, Forms::by_token}) ==
        "qkjit_generic_fp16_4_by_token");
}

TEST_CASE("kernels with computed angles have a second parameter", "[codegen]") {
  Spec spec = kSpec;
  spec.angles = Angles::computed;
  const std::string fused = fused_source(spec, {.lanes = 8, .threads = 64}).text;
  CHECK(fused.find("qkjit_hd128_rd64_neox_bf16_int64_computed(const __grid_constant__ "
                   "qkjit::FusedParams params,\n"
                   "    const __grid_constant__ qkjit::Frequencies<32> frequencies) {\n") !=
        std::string::npos);
  CHECK(fused.find(">(params, blockIdx.x, &frequencies);\n}\n") != std::string::npos);
  const std::string generic = generic_source({DType::bf16, 2, Forms::computed}).text;
  CHECK(generic.find("qkjit::AllFrequencies frequencies) {\n"
                     "  qkjit::generic<qkjit::DType::bf16, 2, qkjit::Forms::computed>(params, "
                     "&frequencies);\n") != std::string::npos);
  CHECK(generic_source({DType::bf16, 2, Forms::all}).text.find("requencies") == std::string::npos);
}

TEST_CASE("kernel names read as their specs", "[codegen]") {
  const auto name = [](const Spec& spec) {
    return fused_source(spec, {.lanes = 1, .threads = 32}).entry;
  };
  CHECK(name({64, 0, Layout::interleaved, DType::fp32, Rounding::hf, Positions::implicit}) ==
        "qkjit_hd64_rd0_interleaved_fp32_hf");
  CHECK(name({512, 512, Layout::neox, DType::fp16, Rounding::late_weight, Positions::implicit}) ==
        "qkjit_hd512_rd512_neox_fp16_late_weight_implicit");
  std::set<std::string> entries;
  for (const Spec& spec : neighbours()) entries.insert(name(spec));
  CHECK(entries.size() == neighbours().size());
  for (const std::string& entry : entries) {
    CHECK(entry.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") == std::string::npos);
  }
}

TEST_CASE("a key changes with every input", "[codegen]") {
  std::set<std::string> digests;
  for (const Spec& spec : neighbours()) {
    digests.insert(kernel_key(spec, kVariant, "sm_90").digest());
  }
  digests.insert(
      kernel_key(kSpec, Variant{.lanes = 4, .rows = 2, .threads = 128}, "sm_90").digest());
  digests.insert(
      kernel_key(kSpec, Variant{.lanes = 8, .rows = 2, .threads = 256}, "sm_90").digest());
  digests.insert(kernel_key(kSpec, kVariant, "sm_90a").digest());
  digests.insert(kernel_key(kSpec, kVariant, "sm_100").digest());
  CHECK(digests.size() == neighbours().size() + 4);
  for (const std::string& digest : digests) {
    CHECK(digest.size() == 64);
    CHECK(digest.find_first_not_of("0123456789abcdef") == std::string::npos);
  }
}

TEST_CASE("a key holds a digest of all kernel headers, each by its own", "[codegen]") {
  REQUIRE(embedded_kernels().size() > 5);
  std::string headers;
  for (const EmbeddedFile& header : embedded_kernels()) {
    INFO(header.name);
    CHECK(header.name.find('/') == std::string_view::npos);
    std::array<unsigned char, crypto_hash_sha256_BYTES> digest;
    crypto_hash_sha256(digest.data(), reinterpret_cast<const unsigned char*>(header.text.data()),
                       header.text.size());
    const std::string hex = fmt::format("{:02x}", fmt::join(digest, ""));
    CHECK(header.sha256 == hex);
    append_field(headers, header.name, hex);
  }
  const std::string record = kernel_key(kSpec, kVariant, "sm_90").record();
  CHECK(record.find(fmt::format("\nheaders:64:{}\n", Key::of_record(headers).digest())) !=
        std::string::npos);
}

TEST_CASE("a key depends on no directory of the machine", "[codegen]") {
  const std::string before = kernel_key(kSpec, kVariant, "sm_90").record();
  const TemporaryDirectory elsewhere;
  const auto here = std::filesystem::current_path();
  const std::string home = getenv("HOME") ? getenv("HOME") : "/";
  std::filesystem::current_path(elsewhere.path());
  setenv("HOME", elsewhere.path().c_str(), 1);
  const std::string after = kernel_key(kSpec, kVariant, "sm_90").record();
  setenv("HOME", home.c_str(), 1);
  std::filesystem::current_path(here);
  CHECK(before == after);
  CHECK(before.find(here.string()) == std::string::npos);
}

TEST_CASE("a key's record is injective", "[codegen]") {
  // The same characters, split otherwise between names and values.
  std::set<std::string> records;
  records.insert(Key::of({{"a", "b"}, {"c", "d"}}).record());
  records.insert(Key::of({{"a", "b\nc:d"}}).record());
  records.insert(Key::of({{"a", "b\nc:1:d"}}).record());
  records.insert(Key::of({{"a", "bc"}, {"", "d"}}).record());
  records.insert(Key::of({{"a", "b\n"}, {"c", "d"}}).record());
  records.insert(Key::of({{"c", "d"}, {"a", "b"}}).record());
  CHECK(records.size() == 6);
}

TEST_CASE("default variants fit their specs", "[codegen]") {
  for (int head_dim = 8; head_dim <= 512; head_dim += 8) {
    for (int rope_dim = 0; rope_dim <= head_dim; rope_dim += 2) {
      for (const Layout layout : {Layout::interleaved, Layout::neox}) {
        const Variant variant = default_variant({head_dim, rope_dim, layout});
        const int chunks = next_power_of_two(head_dim / 8);
        const bool fits = std::has_single_bit(static_cast<unsigned>(variant.lanes)) &&
                          variant.lanes <= std::min(32, chunks) && variant.lanes * 4 >= chunks &&
                          variant.threads % 32 == 0 && variant.threads <= 1024;
        if (!fits) FAIL("head_dim " << head_dim << ", rope_dim " << rope_dim);
      }
    }
  }
}
