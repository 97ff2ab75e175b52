// Tuning changes no bit on the device either: variants that the library would not choose, compiled
// and launched by hand.
#include <algorithm>

#include "codegen/source.hpp"
#include "compile/nvrtc.hpp"
#include "op/geometry.hpp"
#include "spec/variant.hpp"
#include "tests/gpu/gpu.hpp"
#include "tests/support/compare.hpp"

using namespace qkjit;
using namespace qkjit::test;

namespace {

/// Every knob's values at every lane count, as far as the spec allows.
std::vector<Variant> variants(const Spec& spec, const std::string& target) {
  std::vector<Variant> variants;
  for (int lanes = 1; lanes <= 32; lanes *= 2) {
    const Variant plain{.lanes = lanes, .rows = 2, .threads = 64, .pdl = true};
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

void check_on_gpu(const Gpu& gpu, const Nvrtc& nvrtc, const Spec& spec, const Variant& variant) {
  const Driver& driver = *gpu.workspace().driver();
  const Source source = fused_source(spec, variant);
  const Compiled compiled =
      take(nvrtc.compile({source.file, source.text, embedded_kernels(), gpu.target()}));
  const LoadedKernel kernel = take(driver.load(compiled.cubin, source.entry));

  const Problem before({.spec = spec, .tokens = 333, .data = Data::special});
  Problem expected = before;
  run_on_host(expected);
  const DeviceProblem device(gpu.workspace(), before);
  const Operation operation = take(check_args(device.args()));
  const FusedLaunch launch = fused_launch(operation, variant);
  take(driver.launch(kernel, launch.grid, gpu.stream(), &launch.params));
  CHECK(first_difference(qkjit::to_text(variant), expected, device.download()) == "");
}

}  // namespace

TEST_CASE("gpu: every variant gives the bytes of the CPU path") {
  const Gpu gpu;
  const auto nvrtc = take(Nvrtc::open(""));
  for (const Spec& spec : {Spec{128, 128, Layout::interleaved, DType::bf16, Rounding::fused},
                           Spec{128, 128, Layout::neox, DType::bf16, Rounding::eager},
                           Spec{96, 72, Layout::neox, DType::fp16, Rounding::hf},
                           Spec{256, 256, Layout::neox, DType::fp32, Rounding::split}}) {
    for (const Variant& variant : variants(spec, gpu.target())) {
      check_on_gpu(gpu, *nvrtc, spec, variant);
    }
  }
}
