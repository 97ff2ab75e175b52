// The CUDA driver, opened at run time: devices, loading and launching. Only src/cuda knows cuda.h;
// everyone else sees opaque pointers.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "util/error.hpp"
#include "util/grid.hpp"

struct CUstream_st;
struct CUkern_st;
struct CUlib_st;

namespace qkjit {

struct CudaApi;
using Stream = CUstream_st*;

/// Where a pointer may be used.
enum class MemoryKind { host_only, device_only, both };

class Driver;

/// A kernel in a loaded library, unloaded with the last copy. One load serves every context.
class LoadedKernel {
 public:
  CUkern_st* get() const { return kernel_; }

 private:
  friend class Driver;
  LoadedKernel(std::shared_ptr<CUlib_st> library, CUkern_st* kernel)
      : library_(std::move(library)), kernel_(kernel) {}

  std::shared_ptr<CUlib_st> library_;
  CUkern_st* kernel_;
};

/// Immutable, so safe to use from any thread. No method changes the current context.
class Driver {
 public:
  /// Opens libcuda and initialises it. Code::cuda_error if there is no driver or no device.
  static Result<std::shared_ptr<const Driver>> open();
  /// The driver if this process has already loaded it, without initialising it; else null.
  static std::shared_ptr<const Driver> open_if_loaded();

  /// "13.0"
  std::string version() const;
  Result<int> device_count() const;
  Result<std::string> device_name(int device) const;
  /// The target to compile for: "sm_90".
  Result<std::string> target(int device) const;
  Result<std::size_t> l2_bytes(int device) const;

  /// Device of the calling thread's current context; Code::cuda_error if there is none.
  Result<int> current_device() const;
  Result<bool> is_capturing(Stream stream) const;
  Result<MemoryKind> memory_kind(const void* pointer) const;

  /// Loads a cubin or PTX text and makes the kernel resident on the current device, so that the
  /// first launch does nothing but launch. `code` must be whole: the driver takes no length.
  /// Code::compile_failed if the driver refuses the code, as it would again; Code::cuda_error for
  /// all else, which may pass.
  Result<LoadedKernel> load(std::string_view code, const std::string& entry) const;

  /// Asynchronous. `params` is the kernel's argument, `more` its second one if it has one.
  Result<void> launch(const LoadedKernel& kernel, Grid grid, Stream stream, const void* params,
                      const void* more = nullptr) const;

  const CudaApi& api() const { return *api_; }
  /// The error of a driver call that did not return CUDA_SUCCESS.
  tl::unexpected<Error> failure(const char* action, int result) const;

 private:
  explicit Driver(std::shared_ptr<const CudaApi> api) : api_(std::move(api)) {}
  tl::unexpected<Error> load_failure(int result) const;

  std::shared_ptr<const CudaApi> api_;  // shared with what must outlive the driver object
};

}  // namespace qkjit
