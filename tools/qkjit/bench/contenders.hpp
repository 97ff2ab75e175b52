// The copy, the sweep and the empty kernel on a device.
#pragma once

#include <span>

#include "compile/nvrtc.hpp"
#include "cuda/workspace.hpp"
#include "tools/qkjit/bench/contender_params.cuh"

namespace qkjit::bench {

class Contenders {
 public:
  static Result<Contenders> compile(const Nvrtc& nvrtc, const Workspace& gpu,
                                    const std::string& target);

  Result<void> copy(const CopyParams& params) const;
  /// Reads `bytes` of device memory `rounds` times.
  Result<void> sweep(const void* data, std::size_t bytes, unsigned rounds) const;
  Result<void> empty() const;

 private:
  Contenders(const Workspace& gpu, LoadedKernel copy, LoadedKernel sweep, LoadedKernel empty)
      : driver_(gpu.driver()), stream_(gpu.stream()), copy_(copy), sweep_(sweep), empty_(empty) {}

  std::shared_ptr<const Driver> driver_;
  Stream stream_;
  LoadedKernel copy_, sweep_, empty_;
};

}  // namespace qkjit::bench
