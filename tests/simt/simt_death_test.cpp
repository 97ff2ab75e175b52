// What the SIMT shim refuses: each misuse that is undefined on a GPU ends the process with a
// message that names it, and the sanitizers still see what they should inside a fiber.
#include <csignal>
#include <cstddef>

#include "tests/catch.hpp"
#include "tests/simt/child.hpp"
#include "tests/simt/sanitizers.hpp"
#include "tests/simt/simt.hpp"

using qkjit::simt::Death;
using qkjit::simt::launch;
using qkjit::simt::run_in_child;

namespace {

constexpr unsigned kAll = 0xffffffffu;

bool contains(const Death& death, const char* text) {
  return death.message.find(text) != std::string::npos;
}

/// One block of `threads` threads of `body` must abort and say `message`.
template <class Body>
void check_aborts(unsigned threads, const char* message, Body body) {
  const Death death = run_in_child([&] { launch(1, threads, body); });
  INFO(death.message);
  CHECK((WIFSIGNALED(death.wait_status) && WTERMSIG(death.wait_status) == SIGABRT));
  CHECK(contains(death, message));
}

#if QKJIT_SIMT_ASAN
template <unsigned kSize>
__device__ void write_shared(unsigned index) {
  __shared__ float values[2][kSize];
  float* volatile row = values[1];
  row[index] = 1;
}
#endif

}  // namespace

TEST_CASE("simt: a correct block survives in the child") {
  const Death death = run_in_child([] { launch(1, 64, [] { __syncthreads(); }); });
  CHECK(death.wait_status == 0);
  CHECK(death.message.empty());
}

TEST_CASE("simt: misused collectives abort") {
  check_aborts(32, "__syncwarp: mask 0x0000ff00 does not contain the calling lane",
               [] { __syncwarp(0xff00u); });
  check_aborts(8, "__shfl_xor_sync: reads from lane 8, which is not in mask 0x000000ff",
               [] { __shfl_xor_sync(0xffu, 1.0f, 8); });
  check_aborts(32, "__shfl_sync: lane 0 reads from lane 7, which has exited or never was", [] {
    if (threadIdx.x != 7) __shfl_sync(kAll, 1, 7);
  });
  check_aborts(24, "__shfl_down_sync: lane 8 reads from lane 24, which has exited or never was",
               [] { __shfl_down_sync(kAll, 1u, 16); });
  check_aborts(32, "__shfl_sync: width 12 is not a power of two up to 32",
               [] { __shfl_sync(kAll, 1, 0, 12); });
  check_aborts(32, "lane 0 is in __syncwarp while lane 5 is in __ballot_sync", [] {
    if (threadIdx.x == 5) {
      __ballot_sync(kAll, 1);
    } else {
      __syncwarp();
    }
  });
}

TEST_CASE("simt: a deadlock is reported with those who wait") {
  SECTION("lanes that meet under different masks") {
    const auto body = [] { __syncwarp(threadIdx.x == 0 ? 0x3u : kAll); };
    check_aborts(2, "deadlock: nobody can run, and these wait:", body);
    check_aborts(2, "warp 0, lane 0: __syncwarp with mask 0x00000003", body);
    check_aborts(2, "warp 0, lane 1: __syncwarp with mask 0xffffffff", body);
  }
  SECTION("a barrier that one thread does not reach") {
    const auto body = [] {
      if (threadIdx.x == 3) __syncwarp();
      __syncthreads();
    };
    check_aborts(64, "warp 0, lane 3: __syncwarp with mask 0xffffffff", body);
    check_aborts(64, "warp 0, lane 2: __syncthreads()", body);
    check_aborts(64, "and 24 more", body);
  }
}

TEST_CASE("simt: the message says where") {
  const Death death = run_in_child([] {
    launch({3, 2, 1}, {8, 8, 1}, [] {
      if (blockIdx.x == 2 && blockIdx.y == 1 && threadIdx.y == 5) __syncwarp(0);
    });
  });
  CHECK(contains(death, "simt: block (2, 1, 0), thread (0, 5, 0), warp 1, lane 8: "));
}

TEST_CASE("simt: impossible launches abort") {
  check_aborts(1025, "a block 1 to 1024 threads, not 1025", [] {});
  check_aborts(0, "a block 1 to 1024 threads, not 0", [] {});
}

#if QKJIT_SIMT_ASAN
// UBSan cannot be asked for, and goes with ASan.
TEST_CASE("simt: sanitizers see inside fibers") {
  SECTION("the stack") {
    const Death death = run_in_child([] {
      launch(1, 32, [] {
        float values[4] = {};
        float* volatile first = values;
        for (int i = 0; i < 4; ++i) __syncwarp();  // every lane is left and resumed
        first[4] = 1;
      });
    });
    CHECK(death.wait_status != 0);
    CHECK(contains(death, "stack-buffer-overflow"));
  }
  SECTION("shared memory") {
    const Death death = run_in_child([] { launch(1, 32, [] { write_shared<5>(5); }); });
    CHECK(death.wait_status != 0);
    CHECK(contains(death, "global-buffer-overflow"));
  }
  SECTION("vector accesses: bounds and alignment") {
    alignas(16) std::byte memory[40] = {};
    const bool store = GENERATE(false, true);
    const auto access = [&](std::size_t offset) {
      return run_in_child([&, offset] {
        launch(1, 1, [&] {
          std::byte* volatile at = memory + offset;
          uint4& vector = *reinterpret_cast<uint4*>(at);
          if (store) {
            vector = uint4{1, 2, 3, 4};
          } else {
            const uint4 loaded = vector;
            volatile unsigned sink = loaded.x + loaded.w;
            (void)sink;
          }
        });
      });
    };
    CHECK(access(16).message.empty());
    CHECK(contains(access(32), "stack-buffer-overflow"));
    CHECK(contains(access(8), "misaligned address"));
  }
}
#endif
