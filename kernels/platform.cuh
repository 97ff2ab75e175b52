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
QKJIT_DEVICE float rcp_rn(float x) { return __frcp_rn(x); }
/// Keeps in a loop what depends on x, such as addresses, of which a compiler would have dozens wait
/// in registers. No instruction.
QKJIT_DEVICE void stay_in_loop(int& x) { asm volatile("" : "+r"(x)); }
QKJIT_DEVICE unsigned bits_of(float x) { return __float_as_uint(x); }
QKJIT_DEVICE float float_of(unsigned bits) { return __uint_as_float(bits); }
/// a * b without overflow. The compiler makes three multiplications of it where it cannot tell that
/// the factors were narrow.
QKJIT_DEVICE long long wide_product(int a, int b) {
  long long product;
  asm("mul.wide.s32 %0, %1, %2;" : "=l"(product) : "r"(a), "r"(b));
  return product;
}
/// *kept = min(*kept, value), whoever else does so.
QKJIT_DEVICE void keep_lowest(unsigned* kept, unsigned value) { atomicMin(kept, value); }

/// Within 2 ulp of 1 / sqrt(x).
QKJIT_DEVICE float rsqrt_near(float x) {
  float y;
  asm("rsqrt.approx.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

/// Within 1 ulp of 1 / x, if both are normal.
QKJIT_DEVICE float rcp_near(float x) {
  float y;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

/// The shared memory that the launch asked for, on 16 bytes.
QKJIT_DEVICE void* memory_of_launch() {
  extern __shared__ uint4 memory[];
  return memory;
}

#else  // Built with -ffp-contract=off.

inline float fma_rn(float a, float b, float c) { return std::fma(a, b, c); }
inline float mul_rn(float a, float b) { return a * b; }
inline float add_rn(float a, float b) { return a + b; }
inline float rcp_rn(float x) { return 1 / x; }
inline float rcp_near(float x) { return 1 / x; }

inline long long wide_product(int a, int b) { return static_cast<long long>(a) * b; }

inline float rsqrt_near(float x) {
  return static_cast<float>(1.0 / std::sqrt(static_cast<double>(x)));
}
inline void stay_in_loop(int&) {}
inline void* memory_of_launch() {
  alignas(16) static char memory[48 * 1024];  // as much as a launch can have
  return memory;
}
inline void keep_lowest(unsigned* kept, unsigned value) {
  if (value < *kept) *kept = value;  // one thread at a time runs on the host
}
inline unsigned bits_of(float x) { return std::bit_cast<unsigned>(x); }
inline float float_of(unsigned bits) { return std::bit_cast<float>(bits); }

#endif

/// 1 / sqrt(x), correctly rounded, from a `y` within 2 ulp of it. x*y is exact as `p + rest`, so
/// `e` = 1 - x*y*y loses nothing that matters, and y * (1 - e)^(-1/2) is taken to its second order.
/// No branch, so it costs eight operations where __frsqrt_rn costs a division. That it is right
/// for every x is no theorem: tests/unit/arithmetic_test.cpp shows it for all mantissas of two
/// binades and tests/gpu/rsqrt_test.cpp for every float with the y of the device.
QKJIT_DEVICE float rsqrt_refined(float x, float y) {
  const float p = mul_rn(x, y);
  const float rest = fma_rn(x, y, -p);
  const float e = fma_rn(-rest, y, fma_rn(-p, y, 1.0f));
  const float refined = fma_rn(mul_rn(y, e), fma_rn(e, 0.375f, 0.5f), y);
  return refined == refined ? refined : y;  // y is right for 0, infinity and NaN, where e is not
}

QKJIT_DEVICE float rsqrt_rn(float x) { return rsqrt_refined(x, rsqrt_near(x)); }

}  // namespace qkjit
