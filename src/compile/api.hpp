// The NVRTC functions this library calls, bound from an opened library.
#pragma once

#include <nvrtc.h>

#include "util/dynamic_library.hpp"

namespace qkjit {

struct NvrtcApi {
  decltype(&nvrtcVersion) version;
  decltype(&nvrtcGetErrorString) error_string;
  decltype(&nvrtcGetNumSupportedArchs) num_supported_archs;
  decltype(&nvrtcGetSupportedArchs) supported_archs;
  decltype(&nvrtcCreateProgram) create_program;
  decltype(&nvrtcDestroyProgram) destroy_program;
  decltype(&nvrtcCompileProgram) compile_program;
  decltype(&nvrtcGetPTXSize) ptx_size;
  decltype(&nvrtcGetPTX) ptx;
  decltype(&nvrtcGetCUBINSize) cubin_size;
  decltype(&nvrtcGetCUBIN) cubin;
  decltype(&nvrtcGetProgramLogSize) log_size;
  decltype(&nvrtcGetProgramLog) log;
  /// Null if the library has none; written out since older headers have none either.
  nvrtcResult (*set_flow_callback)(nvrtcProgram, int (*)(void*, void*), void*);

  /// False if a function is missing: then the library is no NVRTC, or older than 11.2.
  bool bind(const DynamicLibrary& library) {
    library.find("nvrtcSetFlowCallback", set_flow_callback);
    return library.find("nvrtcVersion", version) &&
           library.find("nvrtcGetErrorString", error_string) &&
           library.find("nvrtcGetNumSupportedArchs", num_supported_archs) &&
           library.find("nvrtcGetSupportedArchs", supported_archs) &&
           library.find("nvrtcCreateProgram", create_program) &&
           library.find("nvrtcDestroyProgram", destroy_program) &&
           library.find("nvrtcCompileProgram", compile_program) &&
           library.find("nvrtcGetPTXSize", ptx_size) && library.find("nvrtcGetPTX", ptx) &&
           library.find("nvrtcGetCUBINSize", cubin_size) && library.find("nvrtcGetCUBIN", cubin) &&
           library.find("nvrtcGetProgramLogSize", log_size) &&
           library.find("nvrtcGetProgramLog", log);
  }
};

}  // namespace qkjit
