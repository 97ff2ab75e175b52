// Correctly rounded roots and inverses of every float, from the starts that this GPU gives.
#include <array>

#include "compile/nvrtc.hpp"
#include "tests/gpu/gpu.hpp"

using namespace qkjit;
using namespace qkjit::test;

namespace {

/// Counts the floats for which rsqrt_rn is not what the division in __frsqrt_rn makes of them,
/// those for which its start is not already that, and the scales of FP8 rows for which
/// inverse_of_found is not what __frcp_rn is.
constexpr const char* kSource = R"(#include "fp8.cuh"
struct Counts { unsigned long long *wrong, *refined, *inverses; };
extern "C" __global__ void count(const __grid_constant__ Counts counts) {
  unsigned wrong = 0, refined = 0, inverses = 0;
  for (unsigned i = 0; i < 1u << 16; ++i) {
    const float x = __uint_as_float(i << 16 | blockIdx.x * blockDim.x + threadIdx.x);
    const unsigned right = __float_as_uint(__frsqrt_rn(x));
    const bool is_nan = __uint_as_float(right) != __uint_as_float(right);
    const float y = qkjit::rsqrt_rn(x);
    wrong += is_nan ? y == y : __float_as_uint(y) != right;
    refined += !is_nan && __float_as_uint(qkjit::rsqrt_near(x)) != right;
    const bool is_scale = qkjit::kLeastScale <= x && (x <= 3.4028235e38f / 448 || x == 1 / 0.0f);
    inverses += is_scale && qkjit::inverse_of_found(x) != __frcp_rn(x);
  }
  atomicAdd(counts.wrong, wrong);
  atomicAdd(counts.refined, refined);
  atomicAdd(counts.inverses, inverses);
}
)";

}  // namespace

TEST_CASE("gpu: rsqrt_rn and inverses of scales are correctly rounded for every float") {
  const Gpu gpu;
  const auto nvrtc = take(Nvrtc::open(""));
  const Compiled compiled =
      take(nvrtc->compile({"/qkjit/count.cu", kSource, embedded_kernels(), gpu.target()}));
  const Driver& driver = *gpu.workspace().driver();
  const LoadedKernel kernel = take(driver.load(compiled.cubin, "count"));

  std::array<unsigned long long, 3> counts{};
  const DeviceBuffer memory =
      take(DeviceBuffer::allocate(gpu.workspace().driver(), sizeof(counts)));
  take(memory.upload(counts.data(), sizeof(counts)));
  auto* const on_device = static_cast<unsigned long long*>(memory.data());
  const std::array<unsigned long long*, 3> params = {on_device, on_device + 1, on_device + 2};
  take(driver.launch(kernel, {(1u << 16) / 256, 256}, gpu.stream(), params.data()));
  take(gpu.workspace().synchronize());
  take(memory.download(counts.data(), sizeof(counts)));
  CHECK(counts[0] == 0);
  CHECK(counts[1] > 1'000'000);  // the refinement had something to do
  CHECK(counts[2] == 0);
}
