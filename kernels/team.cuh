// The warps that share a token's heads of one tensor, where heads have vectors of their own: those
// of a block, or where the heads are few, one.
#pragma once

#include "params.cuh"
#include "platform.cuh"
#include "tile.cuh"

namespace qkjit {

class Team {
 public:
  QKJIT_DEVICE explicit Team(const Slices& slices)
      : warps(slices.per_token),
        is_block(slices.per_token > 1),
        warp(is_block ? threadIdx.x / 32 : 0),
        number(is_block ? blockIdx.x : blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32) {}

  /// The team's part of the memory that the block was launched with.
  QKJIT_DEVICE void* memory(const Spec& spec, const Params& p) const {
    char* const of_block = static_cast<char*>(memory_of_launch());
    if (is_block) return of_block;
    const unsigned heads = p.q.heads > p.k.heads ? p.q.heads : p.k.heads;
    return of_block + threadIdx.x / 32 * staged_token_bytes(spec, static_cast<int>(heads));
  }

  /// What each warp wrote to shared memory, the others see.
  QKJIT_DEVICE void meet() const {
    if (is_block) __syncthreads();
    if (!is_block) __syncwarp();
  }

  const unsigned warps;
  const bool is_block;
  const unsigned warp;    ///< in the team
  const unsigned number;  ///< of the team in the grid
};

}  // namespace qkjit
