// The CUDA vocabulary for the host compiler: include it before a kernel header, and the kernel runs
// on the CPU under ASan and UBSan. Threads of a block are fibers; blocks run one after another.
#pragma once

#include <bit>
#include <concepts>
#include <memory>
#include <type_traits>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __grid_constant__
// One block runs at a time in the whole process, so plain statics serve. ASan gives them redzones,
// which thread-local variables never get, but only in functions with internal linkage: a kernel and
// what it calls must be `static`, templates too. As on a GPU, a block finds what the last one left.
#define __shared__ static

struct uint3 {
  unsigned x, y, z;
};
struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};

namespace qkjit::simt {

// UBSan's alignment check of clang skips copies of trivially copyable classes; this member makes
// the vector types below copy by a function, whose arguments it does check. They stay aggregates.
template <unsigned kBytes>
struct alignas(kBytes) CheckedCopy {
  CheckedCopy() = default;
  constexpr CheckedCopy(const CheckedCopy&) {}
  constexpr CheckedCopy& operator=(const CheckedCopy&) { return *this; }
};

}  // namespace qkjit::simt

// Sizes and alignments are those of CUDA.
struct uint2 {
  unsigned x, y;
  [[no_unique_address]] qkjit::simt::CheckedCopy<8> checked = {};
};
struct uint4 {
  unsigned x, y, z, w;
  [[no_unique_address]] qkjit::simt::CheckedCopy<16> checked = {};
};
struct float2 {
  float x, y;
  [[no_unique_address]] qkjit::simt::CheckedCopy<8> checked = {};
};
struct float4 {
  float x, y, z, w;
  [[no_unique_address]] qkjit::simt::CheckedCopy<16> checked = {};
};
static_assert(sizeof(uint2) == 8 && alignof(uint2) == 8 && sizeof(float2) == 8);
static_assert(sizeof(uint4) == 16 && alignof(uint4) == 16 && sizeof(float4) == 16);

extern uint3 threadIdx, blockIdx;
extern dim3 blockDim, gridDim;

namespace qkjit::simt {

enum class Collective { shfl, shfl_xor, shfl_down, ballot, syncwarp };

/// A type that the shuffles accept.
template <class T>
concept Word = std::same_as<T, float> || std::same_as<T, int> || std::same_as<T, unsigned>;

/// `operand` is the source lane, lane mask or delta of `kind`.
unsigned shuffle(Collective kind, unsigned mask, unsigned value, unsigned operand, int width);

/// Meets the other lanes of `mask`; returns the ballot of non-zero values.
unsigned vote(Collective kind, unsigned mask, bool value);

void launch(dim3 grid, dim3 block, void (*body)(void*), void* argument);

/// Runs `body()` once per thread of the grid, in blocks of at most 1024. A collective misused, or
/// one that can never complete, prints what is wrong and aborts. `body` must not throw, and a
/// thread that spins on memory spins forever: only collectives let the others run. Callable from
/// any thread; launches take turns.
template <class Body>
void launch(dim3 grid, dim3 block, Body&& body) {
  using Callable = std::remove_reference_t<Body>;
  launch(
      grid, block, [](void* callable) { (*static_cast<Callable*>(callable))(); },
      const_cast<void*>(static_cast<const void*>(std::addressof(body))));
}

}  // namespace qkjit::simt

void __syncthreads();

inline void __syncwarp(unsigned mask = 0xffffffffu) {
  qkjit::simt::vote(qkjit::simt::Collective::syncwarp, mask, false);
}

inline unsigned __ballot_sync(unsigned mask, int predicate) {
  return qkjit::simt::vote(qkjit::simt::Collective::ballot, mask, predicate != 0);
}

inline int __any_sync(unsigned mask, int predicate) { return __ballot_sync(mask, predicate) != 0; }

inline int __all_sync(unsigned mask, int predicate) { return __ballot_sync(mask, !predicate) == 0; }

template <qkjit::simt::Word T>
T __shfl_sync(unsigned mask, T value, int lane, int width = 32) {
  return std::bit_cast<T>(qkjit::simt::shuffle(qkjit::simt::Collective::shfl, mask,
                                               std::bit_cast<unsigned>(value),
                                               static_cast<unsigned>(lane), width));
}

template <qkjit::simt::Word T>
T __shfl_xor_sync(unsigned mask, T value, int lane_mask, int width = 32) {
  return std::bit_cast<T>(qkjit::simt::shuffle(qkjit::simt::Collective::shfl_xor, mask,
                                               std::bit_cast<unsigned>(value),
                                               static_cast<unsigned>(lane_mask), width));
}

template <qkjit::simt::Word T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32) {
  return std::bit_cast<T>(qkjit::simt::shuffle(qkjit::simt::Collective::shfl_down, mask,
                                               std::bit_cast<unsigned>(value), delta, width));
}
