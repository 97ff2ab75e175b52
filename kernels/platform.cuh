// All that differs between NVRTC and a host compiler: the same kernels and the same arithmetic then
// compile under both. Every operation here is one IEEE operation that no compiler may contract.
#pragma once

#include "spec.cuh"

#if defined(__CUDACC__)
#define QKJIT_DEVICE __device__ __forceinline__
#else
#include <bit>
#include <cmath>
#define QKJIT_DEVICE inline
#endif

namespace qkjit {

#if defined(__CUDACC__)

QKJIT_DEVICE float fma_rn(float a, float b, float c) { return __fmaf_rn(a, b, c); }
QKJIT_DEVICE float mul_rn(float a, float b) { return __fmul_rn(a, b); }
QKJIT_DEVICE float add_rn(float a, float b) { return __fadd_rn(a, b); }
QKJIT_DEVICE float rsqrt_rn(float x) { return __frsqrt_rn(x); }
QKJIT_DEVICE unsigned bits_of(float x) { return __float_as_uint(x); }
QKJIT_DEVICE float float_of(unsigned bits) { return __uint_as_float(bits); }

#else  // Built with -ffp-contract=off.

inline float fma_rn(float a, float b, float c) { return std::fma(a, b, c); }
inline float mul_rn(float a, float b) { return a * b; }
inline float add_rn(float a, float b) { return a + b; }

/// Correctly rounded: tests/unit/arithmetic_test.cpp compares every mantissa of two binades with
/// exact integers, and other exponents only scale by powers of two.
inline float rsqrt_rn(float x) {
  return static_cast<float>(1.0 / std::sqrt(static_cast<double>(x)));
}
inline unsigned bits_of(float x) { return std::bit_cast<unsigned>(x); }
inline float float_of(unsigned bits) { return std::bit_cast<float>(bits); }

#endif

}  // namespace qkjit
