// Tuning changes no bit on the device either: variants that the library would not choose, compiled
// and launched by hand.
#include "codegen/source.hpp"
#include "compile/nvrtc.hpp"
#include "kernels/tile.cuh"
#include "op/check.hpp"
#include "tests/gpu/gpu.hpp"
#include "tests/support/compare.hpp"

using namespace qkjit;
using namespace qkjit::test;

namespace {

/// All lane counts of a spec with various block sizes, as far as shared memory allows.
std::vector<Variant> variants(const Spec& spec) {
  constexpr int kSharedBytes = 48 * 1024;
  std::vector<Variant> variants;
  for (int lanes = 1; lanes <= std::min(32, next_power_of_two(spec.head_dim / kChunk));
       lanes *= 2) {
    for (const int threads : {32, 96, 256, 512}) {
      const bool exchanges = spec.layout == Layout::neox && !neox_pairs_in_lane(spec, lanes);
      if (exchanges && threads / lanes * spec.head_dim * 4 > kSharedBytes) continue;
      variants.push_back({lanes, threads});
    }
  }
  return variants;
}

void check_variant(const Gpu& gpu, const Nvrtc& nvrtc, const Spec& spec, const Variant& variant) {
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
  const auto rows = static_cast<unsigned>(variant.threads / variant.lanes);
  const Grid grid{(operation.params.row_count + rows - 1) / rows,
                  static_cast<unsigned>(variant.threads)};
  take(driver.launch(kernel, grid, gpu.stream(), &operation.params));
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
    for (const Variant& variant : variants(spec)) check_variant(gpu, *nvrtc, spec, variant);
  }
}
