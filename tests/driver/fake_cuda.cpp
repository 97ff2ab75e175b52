#include "tests/driver/fake_cuda.hpp"

#include <chrono>
#include <cstdio>
#include <thread>

#include "cuda/api.hpp"
#include "kernels/frequencies.cuh"

using qkjit::test::fake_cuda;

namespace qkjit::test {

FakeCuda& fake_cuda() {
  static FakeCuda fake;
  return fake;
}

void FakeCuda::reset() {
  const std::lock_guard lock(mutex);
  loads = 0, loads_to_fail = 0, capturing = false;
  refused.clear();
  launches.clear();
}

FakeLaunch FakeCuda::last_launch() {
  const std::lock_guard lock(mutex);
  return launches.empty() ? FakeLaunch{} : launches.back();
}

}  // namespace qkjit::test

// A library has one kernel, and a kernel is its own function.
struct CUlib_st {
  std::string code, entry;
};

extern "C" {

CUresult cuInit(unsigned) { return CUDA_SUCCESS; }
CUresult cuDriverGetVersion(int* version) { return *version = 13000, CUDA_SUCCESS; }
CUresult cuDeviceGetCount(int* count) { return *count = 1, CUDA_SUCCESS; }
CUresult cuCtxGetDevice(CUdevice* device) { return *device = 0, CUDA_SUCCESS; }

CUresult cuGetErrorName(CUresult error, const char** name) {
  *name = error == CUDA_ERROR_OUT_OF_MEMORY ? "CUDA_ERROR_OUT_OF_MEMORY" : "CUDA_ERROR";
  return CUDA_SUCCESS;
}
CUresult cuGetErrorString(CUresult, const char** text) { return *text = "fake", CUDA_SUCCESS; }

CUresult cuDeviceGetName(char* name, int size, CUdevice) {
  std::snprintf(name, static_cast<std::size_t>(size), "Fake GPU");
  return CUDA_SUCCESS;
}
CUresult cuDeviceGetAttribute(int* value, CUdevice_attribute attribute, CUdevice) {
  *value = attribute == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR ? 9 : 0;
  return CUDA_SUCCESS;
}

CUresult cuStreamIsCapturing(CUstream, CUstreamCaptureStatus* status) {
  *status = fake_cuda().capturing ? CU_STREAM_CAPTURE_STATUS_ACTIVE : CU_STREAM_CAPTURE_STATUS_NONE;
  return CUDA_SUCCESS;
}
CUresult cuPointerGetAttribute(void* value, CUpointer_attribute attribute, CUdeviceptr) {
  const bool kind = attribute == CU_POINTER_ATTRIBUTE_MEMORY_TYPE;
  return *static_cast<unsigned*>(value) = kind ? CU_MEMORYTYPE_DEVICE : 0, CUDA_SUCCESS;
}

CUresult cuLibraryLoadData(CUlibrary* library, const void* code, CUjit_option*, void**, unsigned,
                           CUlibraryOption*, void**, unsigned) {
  auto& fake = fake_cuda();
  ++fake.loads;
  if (fake.capturing) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  std::this_thread::sleep_for(std::chrono::milliseconds(2));  // for others to come meanwhile
  if (fake.loads_to_fail > 0) return --fake.loads_to_fail, CUDA_ERROR_OUT_OF_MEMORY;
  const std::string image(static_cast<const char*>(code));
  const bool is_refused = !fake.refused.empty() && image.find(fake.refused) != std::string::npos;
  if (image.empty() || is_refused) return CUDA_ERROR_INVALID_IMAGE;
  ++fake.loaded;
  return *library = new CUlib_st{image, {}}, CUDA_SUCCESS;
}
CUresult cuLibraryUnload(CUlibrary library) {
  --fake_cuda().loaded;
  return delete library, CUDA_SUCCESS;
}
CUresult cuLibraryGetKernel(CUkernel* kernel, CUlibrary library, const char* name) {
  library->entry = name;
  return *kernel = reinterpret_cast<CUkernel>(library), CUDA_SUCCESS;
}
CUresult cuKernelGetFunction(CUfunction* function, CUkernel kernel) {
  return *function = reinterpret_cast<CUfunction>(kernel), CUDA_SUCCESS;
}
CUresult cuFuncLoad(CUfunction) { return CUDA_SUCCESS; }

CUresult cuLaunchKernelEx(const CUlaunchConfig* config, CUfunction function, void** arguments,
                          void**) {
  const auto* library = reinterpret_cast<const CUlib_st*>(function);
  std::vector<std::uint64_t> frequencies;
  if (library->entry.ends_with("computed")) {
    const auto* turns = static_cast<const qkjit::AllFrequencies*>(arguments[1])->turns;
    frequencies.assign(turns, turns + 2);
  }
  auto& fake = fake_cuda();
  const std::lock_guard lock(fake.mutex);
  fake.launches.push_back({library->code, library->entry, config->blockDimX, frequencies});
  return CUDA_SUCCESS;
}

}  // extern "C"
