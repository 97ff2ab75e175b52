// One runtime used by many threads at once, each with a stream of its own: nothing is prepared, so
// they also compile and load at the same time.
#include <thread>

#include "tests/gpu/gpu.hpp"
#include "tuning/builtin.hpp"

using namespace qkjit;
using namespace qkjit::test;

namespace {

constexpr int kThreads = 8, kRounds = 24, kSpecs = 6;

Spec spec_of(int number) {
  const int head_dim = 64 + 8 * (number % kSpecs);
  return {head_dim, head_dim, Layout::neox, DType::bf16};
}

/// One call on a stream of its own; "" if all is well.
std::string run(const Gpu& gpu, int thread, int round) {
  const Workspace workspace = take(Workspace::create(gpu.workspace().driver()));
  const Problem before({.spec = spec_of(round + thread / 2),  // threads in pairs, same spec
                        .tokens = 50,
                        .seed = static_cast<std::uint64_t>(kRounds * thread + round)});
  Problem expected = before;
  run_on_host(expected);
  return difference_on_device(workspace, gpu.runtime(), before, expected, QKJIT_PATH_NONE,
                              {QKJIT_PATH_FUSED, QKJIT_REASON_NONE});
}

}  // namespace

TEST_CASE("gpu: threads share a runtime, and all get the bytes of the CPU path") {
  const Gpu gpu;
  std::vector<std::string> differences(kThreads);
  {
    std::vector<std::jthread> threads;
    for (int thread = 0; thread < kThreads; ++thread) {
      threads.emplace_back([&, thread] {
        auto& difference = differences[static_cast<std::size_t>(thread)];
        try {
          for (int round = 0; round < kRounds; ++round) difference += run(gpu, thread, round);
        } catch (const std::exception& error) {
          difference += error.what();
        }
      });
    }
  }
  for (const std::string& difference : differences) CHECK(difference == "");
  qkjit_stats stats = QKJIT_STATS_INIT;
  take(qkjit_get_stats(gpu.runtime(), &stats));
  CHECK(stats.fused == kThreads * kRounds);
  std::size_t kernels = 0;
  for (int i = 0; i < kSpecs; ++i) kernels += builtin_choices(spec_of(i), gpu.target()).size();
  CHECK(stats.compiled == kernels);
}
