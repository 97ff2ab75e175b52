// Launches, and the way from the CUDA names into the running block.
#include "tests/simt/simt.hpp"

#include <bit>
#include <cstdio>
#include <cstdlib>
#include <mutex>

#include "tests/simt/block.hpp"

uint3 threadIdx{}, blockIdx{};
dim3 blockDim, gridDim;

void __syncthreads() { qkjit::simt::running_block().wait_for_block(); }

namespace qkjit::simt {
namespace {

// The source lane as the PTX ISA defines it for shfl.sync: segments of `width` lanes; a lane whose
// source would lie beyond its segment reads itself; operands count modulo 32.
unsigned source_lane(Collective kind, unsigned lane, unsigned operand, unsigned width) {
  const unsigned last = lane | (width - 1);
  if (kind == Collective::shfl) return (lane & ~(width - 1)) | (operand & (width - 1));
  operand %= kWarp;
  const unsigned source = kind == Collective::shfl_xor ? lane ^ operand : lane + operand;
  return source <= last ? source : lane;
}

}  // namespace

Block& running_block() {
  static Block& block = *new Block;  // never destroyed, like its fibers
  return block;
}

unsigned shuffle(Collective kind, unsigned mask, unsigned value, unsigned operand, int width) {
  Block& block = running_block();
  const unsigned lanes = static_cast<unsigned>(width);
  if (!std::has_single_bit(lanes) || lanes > kWarp) {
    block.fail(fmt::format("{}: width {} is not a power of two up to 32", name(kind), width));
  }
  return block.meet(
      {kind, mask, value, source_lane(kind, block.current().lane(), operand, lanes), 0});
}

unsigned vote(Collective kind, unsigned mask, bool value) {
  Block& block = running_block();
  return block.meet({kind, mask, value, block.current().lane(), 0});
}

void launch(dim3 grid, dim3 block, void (*body)(void*), void* argument) {
  static std::mutex turn;
  const std::lock_guard lock(turn);
  const unsigned long threads = 1ul * block.x * block.y * block.z;
  if (threads == 0 || threads > 1024 || 1ul * grid.x * grid.y * grid.z == 0) {
    fmt::print(stderr, "simt: a grid needs blocks, and a block 1 to 1024 threads, not {}\n",
               threads);
    std::abort();
  }
  gridDim = grid;
  blockDim = block;
  for (blockIdx.z = 0; blockIdx.z < grid.z; ++blockIdx.z) {
    for (blockIdx.y = 0; blockIdx.y < grid.y; ++blockIdx.y) {
      for (blockIdx.x = 0; blockIdx.x < grid.x; ++blockIdx.x) running_block().run(body, argument);
    }
  }
}

}  // namespace qkjit::simt
