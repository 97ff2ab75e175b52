#include "cuda/driver.hpp"

#include <dlfcn.h>

#include <algorithm>

#include "cuda/api.hpp"

namespace qkjit {
namespace {

const std::string kLibrary[] = {"libcuda.so.1"};

/// What the driver says to code that it does not take.
constexpr CUresult kRefusals[] = {CUDA_ERROR_INVALID_IMAGE,           CUDA_ERROR_NO_BINARY_FOR_GPU,
                                  CUDA_ERROR_INVALID_SOURCE,          CUDA_ERROR_INVALID_PTX,
                                  CUDA_ERROR_UNSUPPORTED_PTX_VERSION, CUDA_ERROR_NOT_FOUND};

/// The bound functions together with the library that they live in.
struct BoundApi {
  DynamicLibrary library;
  CudaApi api;
};

Result<std::shared_ptr<const CudaApi>> bind() {
  auto library = DynamicLibrary::open(kLibrary);
  if (!library) {
    return fail(Code::cuda_error,
                "no CUDA driver ({}): install NVIDIA's driver, or use host memory with "
                "QKJIT_STREAM_HOST",
                library.error().message);
  }
  auto bound = std::make_shared<BoundApi>(BoundApi{std::move(*library), {}});
  if (const char* missing = bound->api.bind(bound->library)) {
    return fail(Code::cuda_error,
                "the CUDA driver has no {}: a driver for CUDA 12.8 or newer is needed", missing);
  }
  return std::shared_ptr<const CudaApi>(bound, &bound->api);
}

}  // namespace

Result<std::shared_ptr<const Driver>> Driver::open() {
  auto api = bind();
  if (!api) return tl::unexpected(api.error());
  std::shared_ptr<const Driver> driver(new Driver(*api));
  if (const CUresult result = (*api)->init(0); result != CUDA_SUCCESS) {
    return driver->failure("initialise CUDA", result);
  }
  return driver;
}

std::shared_ptr<const Driver> Driver::open_if_loaded() {
  void* handle = dlopen(kLibrary[0].c_str(), RTLD_NOW | RTLD_NOLOAD);
  if (!handle) return nullptr;
  auto api = bind();
  dlclose(handle);
  return api ? std::shared_ptr<const Driver>(new Driver(*api)) : nullptr;
}

tl::unexpected<Error> Driver::failure(const char* action, int result) const {
  const char *name = nullptr, *text = nullptr;
  api_->error_name(static_cast<CUresult>(result), &name);
  api_->error_string(static_cast<CUresult>(result), &text);
  return fail(Code::cuda_error, "cannot {}: {} ({})", action, name ? name : "unknown error",
              text ? text : "no text");
}

std::string Driver::version() const {
  int version = 0;
  if (api_->driver_version(&version) != CUDA_SUCCESS) return "unknown";
  return fmt::format("{}.{}", version / 1000, version % 1000 / 10);
}

Result<int> Driver::device_count() const {
  int count = 0;
  const CUresult result = api_->device_count(&count);
  if (result != CUDA_SUCCESS) return failure("count devices", result);
  return count;
}

Result<std::string> Driver::device_name(int device) const {
  char name[256] = {};
  const CUresult result = api_->device_name(name, sizeof(name), device);
  if (result != CUDA_SUCCESS) return failure("name the device", result);
  return std::string(name);
}

Result<std::string> Driver::target(int device) const {
  int major = 0, minor = 0;
  CUresult result =
      api_->device_attribute(&major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, device);
  if (result == CUDA_SUCCESS) {
    result = api_->device_attribute(&minor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, device);
  }
  if (result != CUDA_SUCCESS) return failure("read the compute capability", result);
  return fmt::format("sm_{}{}", major, minor);
}

Result<std::size_t> Driver::l2_bytes(int device) const {
  int bytes = 0;
  const CUresult result = api_->device_attribute(&bytes, CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE, device);
  if (result != CUDA_SUCCESS) return failure("read the size of the L2 cache", result);
  return static_cast<std::size_t>(bytes);
}

Result<int> Driver::current_device() const {
  CUdevice device = 0;
  const CUresult result = api_->ctx_device(&device);
  if (result == CUDA_ERROR_INVALID_CONTEXT) {
    return fail(
        Code::cuda_error,
        "this thread has no current CUDA context: call cudaSetDevice() or cuCtxSetCurrent() first");
  }
  if (result != CUDA_SUCCESS) return failure("find the current device", result);
  return device;
}

Result<bool> Driver::is_capturing(Stream stream) const {
  CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;
  const CUresult result = api_->stream_is_capturing(stream, &status);
  // The legacy stream cannot be asked while another stream captures in global mode: nothing may be
  // loaded then either.
  if (result == CUDA_ERROR_STREAM_CAPTURE_IMPLICIT) return true;
  if (result != CUDA_SUCCESS) return failure("query the stream", result);
  return status != CU_STREAM_CAPTURE_STATUS_NONE;
}

Result<MemoryKind> Driver::memory_kind(const void* pointer) const {
  const auto address = reinterpret_cast<CUdeviceptr>(pointer);
  unsigned type = 0;
  const CUresult result = api_->pointer_attribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, address);
  // The driver has never heard of the pointer, or was never initialised and knows no pointer.
  if (result == CUDA_ERROR_INVALID_VALUE || result == CUDA_ERROR_NOT_INITIALIZED) {
    return MemoryKind::host_only;
  }
  if (result != CUDA_SUCCESS) return failure("ask whose memory a pointer is", result);
  if (type != CU_MEMORYTYPE_DEVICE) return MemoryKind::both;  // pinned or registered
  unsigned managed = 0;
  api_->pointer_attribute(&managed, CU_POINTER_ATTRIBUTE_IS_MANAGED, address);
  return managed ? MemoryKind::both : MemoryKind::device_only;
}

tl::unexpected<Error> Driver::load_failure(int result) const {
  Error error = failure("load the kernel", result).value();
  if (std::ranges::find(kRefusals, result) != std::end(kRefusals))
    error.code = Code::compile_failed;
  return tl::unexpected(std::move(error));
}

Result<LoadedKernel> Driver::load(std::string_view code, const std::string& entry) const {
  const std::string image(code);  // PTX text must end in a NUL
  CUlibrary library = nullptr;
  CUresult result =
      api_->library_load(&library, image.c_str(), nullptr, nullptr, 0, nullptr, nullptr, 0);
  if (result != CUDA_SUCCESS) return load_failure(result);
  // Errors while unloading are ignored: at process exit the driver may be gone before us.
  std::shared_ptr<CUlib_st> owner(library, [api = api_](CUlibrary l) { api->library_unload(l); });
  CUkernel kernel = nullptr;
  CUfunction function = nullptr;
  result = api_->library_kernel(&kernel, library, entry.c_str());
  if (result == CUDA_SUCCESS) result = api_->kernel_function(&function, kernel);
  if (result == CUDA_SUCCESS) result = api_->function_load(function);
  if (result != CUDA_SUCCESS) return load_failure(result);
  return LoadedKernel(std::move(owner), kernel);
}

Result<void> Driver::launch(const LoadedKernel& kernel, Grid grid, Stream stream,
                            const void* params, const void* more) const {
  CUlaunchConfig config{};
  config.gridDimX = grid.blocks;
  config.gridDimY = config.gridDimZ = 1;
  config.blockDimX = grid.threads;
  config.blockDimY = config.blockDimZ = 1;
  config.sharedMemBytes = grid.shared_bytes;
  config.hStream = stream;
  CUlaunchAttribute pdl{};
  pdl.id = CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION;
  pdl.value.programmaticStreamSerializationAllowed = 1;
  config.attrs = &pdl;
  config.numAttrs = grid.pdl ? 1 : 0;
  void* arguments[] = {const_cast<void*>(params), const_cast<void*>(more)};
  const CUresult result =
      api_->launch(&config, reinterpret_cast<CUfunction>(kernel.get()), arguments, nullptr);
  if (result != CUDA_SUCCESS) return failure("launch the kernel", result);
  return {};
}

}  // namespace qkjit
