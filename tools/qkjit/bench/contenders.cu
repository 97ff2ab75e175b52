// What the library's kernels are measured against, compiled at run time for the GPU at hand. Loads
// and stores are assembly because a compiler drops copies in place and unused loads.
#include "contender_params.cuh"

namespace qkjit::bench {

__device__ uint4 load(const uint4* from) {
  uint4 v;
  asm volatile("ld.global.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
               : "l"(from));
  return v;
}

__device__ void store(uint4* to, const uint4& v) {
  asm volatile("st.global.v4.u32 [%0], {%1, %2, %3, %4};"
               :
               : "l"(to), "r"(v.x), "r"(v.y), "r"(v.z), "r"(v.w)
               : "memory");
}

/// The floor: q and k read and written where they are, 16 bytes a thread.
extern "C" __global__ void copy(const CopyParams params) {
  unsigned i = blockIdx.x * kCopyThreads + threadIdx.x;
  const bool in_q = i < params.q.vectors;
  const CopyPart part = in_q ? params.q : params.k;
  if (!in_q) i -= params.q.vectors;
  if (i >= part.vectors) return;
  const size_t at =
      part.row == part.stride ? i : static_cast<size_t>(i / part.row) * part.stride + i % part.row;
  uint4* vector = static_cast<uint4*>(part.data) + at;
  store(vector, load(vector));
}

/// A load that ptxas, too, keeps although nothing uses it.
__device__ void touch(const uint4* from) {
  uint4 v;
  asm volatile("ld.volatile.global.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
               : "l"(from));
}

/// Reads a range from front to back, and again: into the L2 cache if it fits, else through it.
extern "C" __global__ void sweep(const SweepParams params) {
  const uint4* data = static_cast<const uint4*>(params.data);
  const size_t first = blockIdx.x * kSweepThreads + threadIdx.x;
  for (unsigned round = 0; round < params.rounds; ++round) {
    for (size_t i = first; i < params.vectors; i += kSweepThreads * kSweepBlocks) touch(data + i);
  }
}

/// What a launch costs by itself.
extern "C" __global__ void empty() {}

}  // namespace qkjit::bench
