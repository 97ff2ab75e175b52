// Tuning changes no bit on the device either: variants that the library would not choose, compiled
// and launched by hand.
#include <algorithm>
#include <future>

#include "codegen/source.hpp"
#include "compile/nvrtc.hpp"
#include "op/geometry.hpp"
#include "spec/variant.hpp"
#include "tests/gpu/gpu.hpp"
#include "tests/support/compare.hpp"

using namespace qkjit;
using namespace qkjit::test;

namespace {

/// Every knob's values at every lane count that the spec allows.
std::vector<Variant> variants(const Spec& spec, const std::string& target) {
  std::vector<Variant> variants;
  for (int lanes = 1; lanes <= 32; ++lanes) {
    const Span span = norms_across_heads(spec) ? Span::token : Span::slice;
    const Variant plain{.lanes = lanes, .rows = 2, .threads = 64, .span = span, .pdl = true};
    std::vector<Variant> tuned(13, plain);
    tuned[1].rows = 1, tuned[1].threads = 1024;
    tuned[2].rows = 5, tuned[2].threads = 96;
    tuned[3].blocks = 8;
    tuned[4].span = Span::token;
    tuned[5].pairing = Pairing::exchange;
    tuned[6].staging = Staging::bulk_load;
    tuned[7].staging = Staging::bulk;
    tuned[8].staging = Staging::bulk, tuned[8].pairing = Pairing::exchange, tuned[8].rows = 3;
    tuned[9].load = Hint::streaming;
    tuned[10].store = Hint::normal;
    tuned[11].pdl = false;
    tuned[12].pairing = Pairing::shuffle;
    std::ranges::copy_if(tuned, std::back_inserter(variants), [&](const Variant& variant) {
      return check_variant(spec, variant, target).has_value();
    });
  }
  return variants;
}

Compiled compile(const Nvrtc& nvrtc, const Spec& spec, const Variant& variant,
                 const std::string& target) {
  const Source source = fused_source(spec, variant);
  return take(nvrtc.compile({source.file, source.text, embedded_kernels(), target}));
}

/// Compiled at once: one after another they take minutes.
std::vector<Compiled> compile_all(const Nvrtc& nvrtc, const Spec& spec,
                                  const std::vector<Variant>& variants, const std::string& target) {
  std::vector<std::future<Compiled>> pending;
  for (const Variant& variant : variants) {
    pending.push_back(std::async(std::launch::async, compile, std::cref(nvrtc), std::cref(spec),
                                 std::cref(variant), std::cref(target)));
  }
  std::vector<Compiled> compiled;
  for (auto& one : pending) compiled.push_back(one.get());
  return compiled;
}

void check_on_gpu(const Gpu& gpu, const Compiled& compiled, const Spec& spec,
                  const Variant& variant) {
  const Driver& driver = *gpu.workspace().driver();
  const LoadedKernel kernel = take(driver.load(compiled.cubin, fused_source(spec, variant).entry));

  const Problem before({.spec = spec, .tokens = 333, .data = Data::special});
  Problem expected = before;
  run_on_host(expected);
  const DeviceProblem device(gpu.workspace(), before);
  const Operation operation = take(check_args(device.args()));
  const FusedLaunch launch = fused_launch(operation, variant);
  take(driver.launch(kernel, launch.grid, gpu.stream(), &launch.params));
  CHECK(first_difference(to_text(variant), expected, device.download()) == "");
}

}  // namespace

namespace {

constexpr Spec across_heads(Spec spec) {
  spec.norm_scope = NormScope::token;
  return spec;
}

}  // namespace

TEST_CASE("gpu: every variant gives the bytes of the CPU path") {
  const Gpu gpu;
  const auto nvrtc = take(Nvrtc::open(""));
  const std::string target = gpu.target();
  for (const Spec& spec : {Spec{128, 128, Layout::interleaved, DType::bf16, Rounding::fused},
                           Spec{128, 128, Layout::neox, DType::bf16, Rounding::eager},
                           Spec{96, 72, Layout::neox, DType::fp16, Rounding::hf},
                           Spec{256, 128, Layout::neox, DType::bf16, Rounding::late_weight},
                           Spec{256, 256, Layout::neox, DType::fp32, Rounding::split},
                           across_heads({128, 128, Layout::interleaved, DType::bf16}),
                           across_heads({96, 72, Layout::neox, DType::fp16, Rounding::hf})}) {
    const std::vector<Variant> tuned = variants(spec, target);
    const std::vector<Compiled> compiled = compile_all(*nvrtc, spec, tuned, target);
    for (std::size_t i = 0; i < tuned.size(); ++i) check_on_gpu(gpu, compiled[i], spec, tuned[i]);
  }
}
