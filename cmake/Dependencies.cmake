# Third parties. The header-only targets keep fmt and spdlog out of our symbol table and of the
# host's link; libsodium and zstd are linked statically where they can be. The host application sees none.
find_package(Threads REQUIRED)

macro(qkjit_dependency target package)
  if(NOT TARGET ${target})
    find_package(${package} REQUIRED)
  endif()
endmacro()

qkjit_dependency(fmt::fmt-header-only fmt)
qkjit_dependency(spdlog::spdlog_header_only spdlog)
qkjit_dependency(nlohmann_json::nlohmann_json nlohmann_json)
qkjit_dependency(tl::expected tl-expected)

# libsodium and zstd have pkg-config files, and no CMake package everywhere.
find_path(QKJIT_SODIUM_INCLUDE_DIR sodium.h REQUIRED)
find_library(QKJIT_SODIUM_LIBRARY NAMES libsodium.a sodium REQUIRED)
find_path(QKJIT_ZSTD_INCLUDE_DIR zstd.h REQUIRED)
find_library(QKJIT_ZSTD_LIBRARY NAMES libzstd.a zstd REQUIRED)
# Of xxHash only the header is used.
find_path(QKJIT_XXHASH_INCLUDE_DIR xxhash.h REQUIRED)
mark_as_advanced(QKJIT_XXHASH_INCLUDE_DIR QKJIT_ZSTD_INCLUDE_DIR QKJIT_ZSTD_LIBRARY QKJIT_SODIUM_INCLUDE_DIR
                 QKJIT_SODIUM_LIBRARY)

# Headers for types only, and NVRTC to compile the generic kernel: nothing links libcuda or libnvrtc.
set(_qkjit_cuda_roots ${CUDAToolkit_ROOT} $ENV{CUDAToolkit_ROOT} $ENV{CUDA_HOME} /usr/local/cuda)
if(NOT QKJIT_CUDA_INCLUDE_DIR)
  find_path(_qkjit_cuda_include NAMES nvrtc.h HINTS ${_qkjit_cuda_roots} PATH_SUFFIXES include NO_CACHE)
  set(QKJIT_CUDA_INCLUDE_DIR ${_qkjit_cuda_include} CACHE PATH "" FORCE)
endif()
if(NOT QKJIT_NVRTC_LIBRARY)
  find_library(_qkjit_nvrtc NAMES nvrtc libnvrtc.so.13 libnvrtc.so.12 HINTS ${_qkjit_cuda_roots}
               PATH_SUFFIXES lib64 lib targets/x86_64-linux/lib NO_CACHE)
  set(QKJIT_NVRTC_LIBRARY ${_qkjit_nvrtc} CACHE FILEPATH "" FORCE)
endif()
if(NOT EXISTS "${QKJIT_CUDA_INCLUDE_DIR}/cuda.h" OR NOT EXISTS "${QKJIT_NVRTC_LIBRARY}")
  message(FATAL_ERROR "CUDA headers (cuda.h, nvrtc.h) or libnvrtc not found; given CUDAToolkit_ROOT="
    "'${CUDAToolkit_ROOT}'. Run tools/setup.sh, or set QKJIT_CUDA_INCLUDE_DIR and QKJIT_NVRTC_LIBRARY.")
endif()
