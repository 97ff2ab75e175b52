// The translation unit of the embedded generic kernels: one entry for each dtype.
#include "generic.cuh"

extern "C" __global__ void __launch_bounds__(qkjit::kGenericThreads)
    qkjit_generic_bf16(const __grid_constant__ qkjit::GenericParams g) {
  qkjit::generic<qkjit::DType::bf16>(g);
}

extern "C" __global__ void __launch_bounds__(qkjit::kGenericThreads)
    qkjit_generic_fp16(const __grid_constant__ qkjit::GenericParams g) {
  qkjit::generic<qkjit::DType::fp16>(g);
}

extern "C" __global__ void __launch_bounds__(qkjit::kGenericThreads)
    qkjit_generic_fp32(const __grid_constant__ qkjit::GenericParams g) {
  qkjit::generic<qkjit::DType::fp32>(g);
}
