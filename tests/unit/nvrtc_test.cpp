// The real compiler: what it makes of our kernels, and how it fails.
#include "compile/nvrtc.hpp"

#include <elf.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <thread>

#include "codegen/source.hpp"
#include "spec/text.hpp"
#include "tests/unit/mentions.hpp"
#include "tuning/default_variant.hpp"
#include "tuning/dual_choices.hpp"

using namespace qkjit;

namespace {

/// Opened once: loading it takes a while.
const Nvrtc& nvrtc() {
  static const auto opened = Nvrtc::open("");
  INFO((opened ? "" : opened.error().message));
  REQUIRE(opened.has_value());
  return **opened;
}

Result<Compiled> compile(const Spec& spec, const std::string& target) {
  const Source source = fused_source(spec, default_variant(spec));
  return nvrtc().compile({source.file, source.text, embedded_kernels(), target});
}

rlim_t stack_limit() {
  rlimit limit{};
  getrlimit(RLIMIT_STACK, &limit);
  return limit.rlim_cur;
}

}  // namespace

TEST_CASE("models' kernels compile for sm_90 without spills", "[nvrtc]") {
  const Spec specs[] = {
      {128, 128, Layout::interleaved},
      {128, 128, Layout::neox, DType::fp16, Rounding::hf},
      {128, 96, Layout::neox, DType::bf16, Rounding::eager, Positions::implicit},
      {64, 64, Layout::neox, DType::fp32, Rounding::split, Positions::int32},
      {80, 72, Layout::neox},
      {256, 0, Layout::interleaved, DType::bf16, Rounding::late_weight, Positions::implicit},
  };
  for (const Spec& spec : specs) {
    const auto compiled = compile(spec, "sm_90");
    INFO(to_text(spec) << (compiled ? "" : compiled.error().message));
    REQUIRE(compiled.has_value());
    Elf64_Ehdr header{};
    REQUIRE(compiled->cubin.size() > sizeof(header));
    std::memcpy(&header, compiled->cubin.data(), sizeof(header));
    CHECK(std::memcmp(header.e_ident, ELFMAG, SELFMAG) == 0);
    CHECK(header.e_machine == 190);  // EM_CUDA
    CHECK(compiled->ptx.find(".target sm_90") != std::string::npos);
    REQUIRE(compiled->resources.size() == 1);
    const Resources& used = compiled->resources[0];
    CHECK(used.kernel == fused_source(spec, default_variant(spec)).entry);
    CHECK(compiled->cubin.find(used.kernel) != std::string::npos);
    // NVRTC keeps constant members, with the whole name of their template: once a third of a cubin.
    CHECK(compiled->cubin.find("4Tile") == std::string::npos);
    CHECK(used.registers > 0);
    CHECK(used.registers < 128);
    CHECK(used.spill_stores + used.spill_loads + used.stack == 0);
  }
}

TEST_CASE("kernels of batches, of V and of two streams compile without a stack", "[nvrtc]") {
  const Spec plain{.head_dim = 128, .rope_dim = 128};
  const Spec text{.head_dim = 128, .rope_dim = 0, .positions = Positions::implicit};
  Spec strided = plain, copying = plain;
  strided.batch = Batch::strided, copying.v = Values::copy;
  for (const Streams& streams : {Streams(strided), Streams(copying), Streams(plain, plain),
                                 Streams(copying, text), Streams(text, strided)}) {
    const Source source =
        fused_source(streams, variants_of(streams, default_variant(streams.first)));
    const auto compiled = nvrtc().compile({source.file, source.text, embedded_kernels(), "sm_90"});
    INFO(to_text(streams) << (compiled ? "" : compiled.error().message));
    REQUIRE(compiled.has_value());
    REQUIRE(compiled->resources.size() == 1);
    CHECK(compiled->resources[0].kernel == source.entry);
    CHECK(compiled->resources[0].stack == 0);
  }
}

TEST_CASE("the same spec gives the same bytes again", "[nvrtc]") {
  const Spec spec = {64, 64, Layout::interleaved};
  const auto first = compile(spec, "sm_90"), second = compile(spec, "sm_90");
  REQUIRE((first.has_value() && second.has_value()));
  CHECK(first->cubin == second->cubin);
  CHECK(first->ptx == second->ptx);
}

TEST_CASE("a compute_ target gives PTX alone", "[nvrtc]") {
  const auto compiled = compile({64, 64, Layout::neox}, "compute_80");
  REQUIRE(compiled.has_value());
  CHECK(compiled->cubin.empty());
  CHECK(compiled->ptx.find(".target sm_80") != std::string::npos);
  CHECK(compiled->ptx.back() != '\0');
}

TEST_CASE("targets are listed, and one that is none is refused with the list", "[nvrtc]") {
  const auto targets = nvrtc().targets();
  for (const char* target : {"sm_80", "sm_90", "sm_90a"}) {
    CHECK(std::count(targets.begin(), targets.end(), target) == 1);
  }
  CHECK(std::count(targets.begin(), targets.end(), "sm_80a") == 0);
  for (const char* target : {"sm_9", "", "native", "sm_80a", "sm_90 -G", "compute_1"}) {
    CHECK(fails(compile({8, 8}, target), Code::invalid_argument,
                {fmt::format("'{}'", target), nvrtc().version(), "sm_90, sm_90a"}));
  }
}

TEST_CASE("broken source fails with the compiler's log", "[nvrtc]") {
  const auto broken = [](const char* text) {
    return nvrtc().compile({"/qkjit/broken.cu", text, {}, "sm_90"});
  };
  CHECK(fails(broken("\n__global__ void k() { x = 1; }\n"), Code::compile_failed,
              {"/qkjit/broken.cu(2)", "\"x\" is undefined", "--gpu-architecture=sm_90"}));
  CHECK(fails(broken("#include \"missing.cuh\"\n"), Code::compile_failed, {"missing.cuh"}));
}

TEST_CASE("a spec that the kernel does not take fails with a message of its own", "[nvrtc]") {
  const Source source = fused_source({12, 12}, {1, 32});
  CHECK(fails(nvrtc().compile({source.file, source.text, embedded_kernels(), "sm_90"}),
              Code::compile_failed, {"head_dim must be a multiple of 8 from 8 to 512"}));
}

TEST_CASE("a library that is missing or no NVRTC is not ready, by name", "[nvrtc]") {
  CHECK(fails(Nvrtc::open("/nowhere/libnvrtc.so.13"), Code::not_ready,
              {"/nowhere/libnvrtc.so.13", "QKJIT_NVRTC"}));
  CHECK(fails(Nvrtc::open("/etc/passwd"), Code::not_ready, {"/etc/passwd", "QKJIT_NVRTC"}));
  CHECK(fails(Nvrtc::open("libm.so.6"), Code::not_ready, {"libm.so.6", "no NVRTC", "12.0"}));
}

TEST_CASE("compiling leaves the process's stack limit alone at every moment", "[nvrtc]") {
  const rlim_t before = stack_limit();
  std::atomic<bool> done{false}, changed{false};
  std::thread watcher([&] {
    while (!done) {
      if (stack_limit() != before) changed = true;
    }
  });
  CHECK(compile({16, 16}, "sm_90").has_value());
  done = true;
  watcher.join();
  CHECK_FALSE(changed);
  CHECK(stack_limit() == before);
}

TEST_CASE("resources are read for each kernel of a log", "[nvrtc]") {
  const auto resources = parse_resources(
      "ptxas info    : 0 bytes gmem\n"
      "ptxas info    : Compiling entry function 'first' for 'sm_90'\n"
      "ptxas info    : Function properties for first\n"
      "    8 bytes stack frame, 4 bytes spill stores, 12 bytes spill loads\n"
      "ptxas info    : Used 40 registers, used 1 barriers, 8 bytes cumulative stack size, 2048 "
      "bytes smem\n"
      "ptxas info    : Compiling entry function 'second' for 'sm_90'\n"
      "    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads\n"
      "ptxas info    : Used 9 registers, used 0 barriers\n");
  REQUIRE(resources.size() == 2);
  CHECK(resources[0].kernel == "first");
  CHECK(resources[0].registers == 40);
  CHECK(resources[0].spill_stores == 4);
  CHECK(resources[0].spill_loads == 12);
  CHECK(resources[0].stack == 8);
  CHECK(resources[0].shared == 2048);
  CHECK(resources[1].kernel == "second");
  CHECK(resources[1].registers == 9);
  CHECK(resources[1].shared == 0);
  CHECK(parse_resources("").empty());
}
