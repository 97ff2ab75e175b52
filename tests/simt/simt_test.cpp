// The SIMT shim itself: ids, shared memory, barriers, and every collective on whole and partial
// warps.
#include "tests/simt/simt.hpp"

#include <array>
#include <bit>
#include <set>
#include <thread>
#include <tuple>
#include <vector>

#include "tests/catch.hpp"

using qkjit::simt::launch;

namespace {

constexpr unsigned kAll = 0xffffffffu;

// Sums 256 integers per block, as kernels do: inside warps by shuffles, across them through shared
// memory.
__global__ void block_sum(const unsigned* in, unsigned* out) {
  __shared__ unsigned partial[8];
  unsigned sum = in[blockIdx.x * 256 + threadIdx.x];
  for (unsigned d = 16; d > 0; d /= 2) sum += __shfl_down_sync(kAll, sum, d);
  if (threadIdx.x % 32 == 0) partial[threadIdx.x / 32] = sum;
  __syncthreads();
  if (threadIdx.x == 0) {
    for (int i = 1; i < 8; ++i) sum += partial[i];
    out[blockIdx.x] = sum;
  }
}

/// What each of `threads` threads of one block returns from `body`.
template <class Body>
auto results(unsigned threads, Body body) {
  std::vector<decltype(body())> out(threads);
  launch(1, threads, [&] { out[threadIdx.x] = body(); });
  return out;
}

}  // namespace

TEST_CASE("simt: every thread of a grid runs once and knows who it is") {
  using Id = std::tuple<unsigned, unsigned, unsigned, unsigned, unsigned, unsigned>;
  std::multiset<Id> seen;
  launch({2, 3, 2}, {5, 4, 3}, [&] {
    CHECK((gridDim.x == 2 && gridDim.y == 3 && gridDim.z == 2));
    CHECK((blockDim.x == 5 && blockDim.y == 4 && blockDim.z == 3));
    __syncthreads();  // the ids must survive the switches
    seen.emplace(blockIdx.x, blockIdx.y, blockIdx.z, threadIdx.x, threadIdx.y, threadIdx.z);
  });
  CHECK(seen.size() == 12 * 60);
  CHECK(std::set<Id>(seen.begin(), seen.end()).size() == 12 * 60);
  CHECK(*seen.begin() == Id(0, 0, 0, 0, 0, 0));
  CHECK(*seen.rbegin() == Id(1, 2, 1, 4, 3, 2));
}

TEST_CASE("simt: shared memory and barriers in both directions") {
  std::vector<unsigned> out(3 * 100);
  launch(3, 100, [&] {
    __shared__ unsigned slots[100];
    slots[threadIdx.x] = threadIdx.x + 1000 * blockIdx.x;
    __syncthreads();
    const unsigned mirrored = slots[99 - threadIdx.x];
    __syncthreads();
    slots[threadIdx.x] = mirrored;
    __syncthreads();
    out[blockIdx.x * 100 + threadIdx.x] = slots[(threadIdx.x + 1) % 100];
  });
  for (unsigned i = 0; i < 300; ++i) {
    CHECK(out[i] == 99 - (i % 100 + 1) % 100 + 1000 * (i / 100));
  }
}

TEST_CASE("simt: a block reduction equals a plain sum") {
  std::vector<unsigned> in(256 * 50), out(50);
  for (unsigned i = 0; i < in.size(); ++i) in[i] = i * 2654435761u;
  launch(50, 256, [&] { block_sum(in.data(), out.data()); });
  for (unsigned block = 0; block < 50; ++block) {
    unsigned sum = 0;
    for (unsigned i = 0; i < 256; ++i) sum += in[block * 256 + i];
    CHECK(out[block] == sum);
  }
}

// Expected lanes from the tables of the PTX ISA, shfl.sync.
TEST_CASE("simt: shuffles read the lane that PTX defines, for every width") {
  const unsigned width = GENERATE(1u, 2u, 4u, 8u, 16u, 32u);
  const unsigned operand = GENERATE(0u, 1u, 3u, 8u, 21u, 31u);
  const int signed_width = static_cast<int>(width), signed_operand = static_cast<int>(operand);
  const auto index = results(64, [&] {
    return __shfl_sync(kAll, static_cast<int>(threadIdx.x % 32), signed_operand, signed_width);
  });
  const auto butterfly = results(64, [&] {
    return __shfl_xor_sync(kAll, static_cast<float>(threadIdx.x), signed_operand, signed_width);
  });
  const auto down =
      results(64, [&] { return __shfl_down_sync(kAll, threadIdx.x, operand, signed_width); });
  for (unsigned i = 0; i < 64; ++i) {
    const unsigned segment = i / width * width, end = segment + width;
    CHECK(index[i] == static_cast<int>(segment % 32 + operand % width));
    CHECK(butterfly[i] == static_cast<float>((i ^ operand) < end ? i ^ operand : i));
    CHECK(down[i] == (i + operand < end ? i + operand : i));
  }
}

TEST_CASE("simt: shuffles keep every bit") {
  const auto nan = results(32, [] {
    return std::bit_cast<unsigned>(__shfl_xor_sync(
        kAll, std::bit_cast<float>(threadIdx.x == 1 ? 0x7fc12345u : 0x80000000u), 1));
  });
  CHECK(nan[0] == 0x7fc12345u);
  CHECK(nan[1] == 0x80000000u);
}

TEST_CASE("simt: groups of a warp meet independently, also when others have exited") {
  std::array<unsigned, 32> sums{};
  launch(1, 32, [&] {
    const unsigned lane = threadIdx.x, group = lane / 8, mask = 0xffu << (group * 8);
    if (group == 1) return;
    unsigned sum = lane;
    // Group 3 meets once more than the others.
    for (int d = group == 3 ? 8 : 4; d > 0; d /= 2) sum += __shfl_xor_sync(mask, sum, d % 8);
    sums[lane] = sum;
  });
  for (unsigned lane = 0; lane < 32; ++lane) {
    const unsigned group = lane / 8, sum = 8 * (group * 8) + 28;
    CHECK(sums[lane] == (group == 1 ? 0 : group == 3 ? 2 * sum : sum));
  }
}

TEST_CASE("simt: nobody waits for exited threads") {
  SECTION("lanes that exit before, lanes that exit after the others wait") {
    const unsigned leaver = GENERATE(0u, 17u, 31u);
    const auto ballots = results(64, [&] {
      return threadIdx.x % 32 == leaver ? 0u : __ballot_sync(kAll, threadIdx.x % 2 == 0);
    });
    for (unsigned i = 0; i < 64; ++i) {
      CHECK(ballots[i] == (i % 32 == leaver ? 0u : 0x55555555u & ~(1u << leaver)));
    }
  }
  SECTION("a warp that the block does not fill") {
    CHECK(results(5, [] { return __ballot_sync(kAll, 1); })[4] == 0x1f);
  }
  SECTION("a barrier") {
    const unsigned leaver = GENERATE(0u, 40u, 63u);
    unsigned arrived = 0, seen = 0;
    launch(1, 64, [&] {
      if (threadIdx.x == leaver) return;
      ++arrived;
      __syncthreads();
      if (arrived == 63) ++seen;
    });
    CHECK(seen == 63);
  }
}

TEST_CASE("simt: votes") {
  const auto any = results(32, [] { return __any_sync(kAll, threadIdx.x == 9); });
  const auto all = results(32, [] { return __all_sync(kAll, threadIdx.x != 9); });
  const auto both = results(32, [] { return 10 * __any_sync(kAll, 0) + __all_sync(kAll, 2); });
  CHECK((any[0] == 1 && all[0] == 0 && both[31] == 1));
}

TEST_CASE("simt: __syncwarp orders the memory of a warp") {
  const auto out = results(64, [] {
    __shared__ unsigned slots[64];
    slots[threadIdx.x] = threadIdx.x;
    __syncwarp();
    return slots[threadIdx.x ^ 31];
  });
  for (unsigned i = 0; i < 64; ++i) CHECK(out[i] == (i ^ 31));
}

TEST_CASE("simt: launches from several threads take turns") {
  std::vector<unsigned> in(256, 3), out(4);
  std::vector<std::thread> callers;
  for (unsigned i = 0; i < 4; ++i) {
    callers.emplace_back([&, i] {
      for (int n = 0; n < 50; ++n) launch(1, 256, [&] { block_sum(in.data(), &out[i]); });
    });
  }
  for (std::thread& caller : callers) caller.join();
  for (unsigned sum : out) CHECK(sum == 3 * 256);
}
