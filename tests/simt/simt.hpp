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
// One block runs at a time in the whole process, so plain statics serve, and unlike thread-local
// variables they get redzones from ASan. As on a GPU, a block finds what the last one left.
#define __shared__ static

struct uint3 {
  unsigned x, y, z;
};
struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};
// Alignments are those of CUDA: UBSan then sees a misaligned vector access, ASan one out of bounds.
struct alignas(8) uint2 {
  unsigned x, y;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};
struct alignas(8) float2 {
  float x, y;
};
struct alignas(16) float4 {
  float x, y, z, w;
};

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
