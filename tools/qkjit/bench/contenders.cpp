#include "tools/qkjit/bench/contenders.hpp"

namespace qkjit {

std::span<const EmbeddedFile> embedded_contenders();  // contenders.cu, contender_params.cuh

namespace bench {

constexpr std::size_t kVectorBytes = 16;

Result<Contenders> Contenders::compile(const Nvrtc& nvrtc, const Workspace& gpu,
                                       const std::string& target) {
  const auto files = embedded_contenders();
  const auto code =
      nvrtc.compile({"/qkjit/contenders.cu", std::string(files[0].text), files.subspan(1), target});
  if (!code) return tl::unexpected(code.error());
  std::vector<LoadedKernel> kernels;
  for (const char* entry : {"copy", "sweep", "empty"}) {
    auto kernel = gpu.driver()->load(code->cubin, entry);
    if (!kernel) return tl::unexpected(kernel.error());
    kernels.push_back(std::move(*kernel));
  }
  return Contenders(gpu, kernels[0], kernels[1], kernels[2]);
}

Result<void> Contenders::copy(const CopyParams& params) const {
  const unsigned vectors = params.q.vectors + params.k.vectors;
  const Grid grid{(vectors + kCopyThreads - 1) / kCopyThreads, kCopyThreads};
  return driver_->launch(copy_, grid, stream_, &params);
}

Result<void> Contenders::sweep(const void* data, std::size_t bytes, unsigned rounds) const {
  const SweepParams params{data, bytes / kVectorBytes, rounds};
  return driver_->launch(sweep_, {kSweepBlocks, kSweepThreads}, stream_, &params);
}

Result<void> Contenders::empty() const { return driver_->launch(empty_, {1, 1}, stream_, nullptr); }

}  // namespace bench
}  // namespace qkjit
