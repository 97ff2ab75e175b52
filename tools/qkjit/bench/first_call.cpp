#include "tools/qkjit/bench/first_call.hpp"

#include "tools/qkjit/bench/child.hpp"
#include "tools/qkjit/bench/statistics.hpp"
#include "tools/qkjit/bench/stopwatch.hpp"
#include "tools/qkjit/session.hpp"
#include "util/environment.hpp"

namespace qkjit::bench {
namespace {

Result<std::vector<double>> compile_empty(const std::string& target) {
  Stopwatch watch;
  const auto nvrtc = Nvrtc::open(environment("QKJIT_NVRTC"));
  if (!nvrtc) return tl::unexpected(nvrtc.error());
  const auto compiled =
      (*nvrtc)->compile({"/qkjit/empty.cu", "extern \"C\" __global__ void empty() {}", {}, target});
  if (!compiled) return tl::unexpected(compiled.error());
  return std::vector<double>{watch.lap_ms()};
}

Result<std::vector<double>> obtain_kernel(const Spec& spec, const std::string& target,
                                          const TemporaryCache& cache) {
  Stopwatch watch;
  const auto runtime = cache.runtime();
  if (!runtime) return tl::unexpected(runtime.error());
  const auto kernel = (*runtime)->compile(spec, target);
  if (!kernel) return tl::unexpected(kernel.error());
  return std::vector<double>{watch.lap_ms()};
}

Result<std::vector<double>> compile_kernel(const Spec& spec, const std::string& target,
                                           const TemporaryCache& cache) {
  Stopwatch watch;
  const auto runtime = cache.runtime();
  if (!runtime) return tl::unexpected(runtime.error());
  const auto kernel = without_cache(**runtime)->compile(spec, target);
  if (!kernel) return tl::unexpected(kernel.error());
  return std::vector<double>{watch.lap_ms()};
}

}  // namespace

Result<FirstCall> measure_first_call(const Spec& spec, const std::string& target,
                                     const TemporaryCache& cache) {
  std::vector<double> empty, compile, cold, warm;
  for (int i = 0; i < kProcesses; ++i) {  // in turn: a busy machine disturbs all alike
    cache.clear();
    for (auto& [times, work] :
         {std::pair(&empty, std::function([&] { return compile_empty(target); })),
          std::pair(&compile, std::function([&] { return compile_kernel(spec, target, cache); })),
          std::pair(&cold, std::function([&] { return obtain_kernel(spec, target, cache); })),
          std::pair(&warm, std::function([&] { return obtain_kernel(spec, target, cache); }))}) {
      const auto milliseconds = in_child(work);
      if (!milliseconds) return tl::unexpected(milliseconds.error());
      times->push_back(milliseconds->front());
    }
  }
  return FirstCall{median(empty), median(compile), median(cold), median(warm)};
}

}  // namespace qkjit::bench
