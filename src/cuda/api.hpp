// The driver functions this library calls, bound from libcuda.
#pragma once

#include <cuda.h>

#include "util/dynamic_library.hpp"

namespace qkjit {

// cuda.h names some functions by macro (cuMemAlloc is cuMemAlloc_v2); symbols need the final name.
#define QKJIT_CUDA_NAME(function) QKJIT_CUDA_TEXT(function)
#define QKJIT_CUDA_TEXT(function) #function

struct CudaApi {
  decltype(&cuInit) init;
  decltype(&cuDriverGetVersion) driver_version;
  decltype(&cuGetErrorString) error_string;
  decltype(&cuGetErrorName) error_name;
  decltype(&cuDeviceGetCount) device_count;
  decltype(&cuDeviceGetName) device_name;
  decltype(&cuDeviceGetAttribute) device_attribute;
  decltype(&cuCtxGetDevice) ctx_device;
  decltype(&cuCtxGetCurrent) ctx_get_current;
  decltype(&cuCtxSetCurrent) ctx_set_current;
  decltype(&cuDevicePrimaryCtxRetain) primary_ctx_retain;
  decltype(&cuDevicePrimaryCtxRelease) primary_ctx_release;
  decltype(&cuStreamIsCapturing) stream_is_capturing;
  decltype(&cuPointerGetAttribute) pointer_attribute;
  decltype(&cuLibraryLoadData) library_load;
  decltype(&cuLibraryUnload) library_unload;
  decltype(&cuLibraryGetKernel) library_kernel;
  decltype(&cuKernelGetFunction) kernel_function;
  decltype(&cuFuncLoad) function_load;
  decltype(&cuLaunchKernelEx) launch;
  decltype(&cuMemAlloc) mem_alloc;
  decltype(&cuMemFree) mem_free;
  decltype(&cuMemcpyHtoD) copy_to_device;
  decltype(&cuMemcpyDtoH) copy_to_host;
  decltype(&cuMemcpyDtoD) copy_on_device;
  decltype(&cuStreamCreate) stream_create;
  decltype(&cuStreamDestroy) stream_destroy;
  decltype(&cuStreamSynchronize) stream_synchronize;
  decltype(&cuStreamBeginCapture) begin_capture;
  decltype(&cuStreamEndCapture) end_capture;
  decltype(&cuGraphDestroy) graph_destroy;
  decltype(&cuGraphInstantiateWithFlags) graph_instantiate;
  decltype(&cuGraphExecDestroy) graph_exec_destroy;
  decltype(&cuGraphLaunch) graph_launch;
  decltype(&cuEventCreate) event_create;
  decltype(&cuEventDestroy) event_destroy;
  decltype(&cuEventRecord) event_record;
  decltype(&cuEventElapsedTime) event_elapsed;

  /// The name of a missing function, or null when all are bound.
  const char* bind(const DynamicLibrary& library) {
#define QKJIT_BIND(function, member) \
  if (!library.find(QKJIT_CUDA_NAME(function), member)) return QKJIT_CUDA_NAME(function)
    QKJIT_BIND(cuInit, init);
    QKJIT_BIND(cuDriverGetVersion, driver_version);
    QKJIT_BIND(cuGetErrorString, error_string);
    QKJIT_BIND(cuGetErrorName, error_name);
    QKJIT_BIND(cuDeviceGetCount, device_count);
    QKJIT_BIND(cuDeviceGetName, device_name);
    QKJIT_BIND(cuDeviceGetAttribute, device_attribute);
    QKJIT_BIND(cuCtxGetDevice, ctx_device);
    QKJIT_BIND(cuCtxGetCurrent, ctx_get_current);
    QKJIT_BIND(cuCtxSetCurrent, ctx_set_current);
    QKJIT_BIND(cuDevicePrimaryCtxRetain, primary_ctx_retain);
    QKJIT_BIND(cuDevicePrimaryCtxRelease, primary_ctx_release);
    QKJIT_BIND(cuStreamIsCapturing, stream_is_capturing);
    QKJIT_BIND(cuPointerGetAttribute, pointer_attribute);
    QKJIT_BIND(cuLibraryLoadData, library_load);
    QKJIT_BIND(cuLibraryUnload, library_unload);
    QKJIT_BIND(cuLibraryGetKernel, library_kernel);
    QKJIT_BIND(cuKernelGetFunction, kernel_function);
    QKJIT_BIND(cuFuncLoad, function_load);
    QKJIT_BIND(cuLaunchKernelEx, launch);
    QKJIT_BIND(cuMemAlloc, mem_alloc);
    QKJIT_BIND(cuMemFree, mem_free);
    QKJIT_BIND(cuMemcpyHtoD, copy_to_device);
    QKJIT_BIND(cuMemcpyDtoH, copy_to_host);
    QKJIT_BIND(cuMemcpyDtoD, copy_on_device);
    QKJIT_BIND(cuStreamCreate, stream_create);
    QKJIT_BIND(cuStreamDestroy, stream_destroy);
    QKJIT_BIND(cuStreamSynchronize, stream_synchronize);
    QKJIT_BIND(cuStreamBeginCapture, begin_capture);
    QKJIT_BIND(cuStreamEndCapture, end_capture);
    QKJIT_BIND(cuGraphDestroy, graph_destroy);
    QKJIT_BIND(cuGraphInstantiateWithFlags, graph_instantiate);
    QKJIT_BIND(cuGraphExecDestroy, graph_exec_destroy);
    QKJIT_BIND(cuGraphLaunch, graph_launch);
    QKJIT_BIND(cuEventCreate, event_create);
    QKJIT_BIND(cuEventDestroy, event_destroy);
    QKJIT_BIND(cuEventRecord, event_record);
    QKJIT_BIND(cuEventElapsedTime, event_elapsed);
#undef QKJIT_BIND
    return nullptr;
  }
};

}  // namespace qkjit
