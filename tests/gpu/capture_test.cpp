// Stream capture: what is prepared is captured, and nothing else disturbs the capture.
#include "tests/gpu/gpu.hpp"
#include "tests/support/compare.hpp"

using namespace qkjit;
using namespace qkjit::test;

namespace {

constexpr Spec kSpec{64, 48, Layout::neox, DType::bf16, Rounding::split};

/// A GPU, and a problem on it with its answer. Out of place, so that a graph may run twice.
struct Capture {
  Gpu gpu;
  Problem before{{.spec = kSpec, .tokens = 100, .in_place = false}};
  Problem expected = before;
  DeviceProblem device{gpu.workspace(), before};
  qkjit_status status = QKJIT_INTERNAL;
  qkjit_dispatch dispatch{};

  Capture() { run_on_host(expected); }

  void launch(qkjit_path path = QKJIT_PATH_NONE) {
    dispatch = {};
    status = device.launch(gpu.runtime(), path, dispatch);
  }
  /// Captures a launch and runs the graph.
  void launch_as_graph() {
    const auto enqueue = [&]() -> Result<void> { return launch(), Result<void>{}; };
    take(gpu.workspace().time_graph(enqueue, 1, 1));
  }
  std::string difference() const {
    return first_difference(qkjit_path_string(dispatch.path), expected, device.download());
  }
};

}  // namespace

TEST_CASE("gpu: a prepared spec is captured, and the graph gives the bytes of the CPU path") {
  Capture c;
  const qkjit_spec spec = to_c(kSpec);
  take(qkjit_prepare(c.gpu.runtime(), &spec, nullptr));
  CHECK(c.difference() != "");
  c.launch_as_graph();
  CHECK(c.status == QKJIT_OK);
  CHECK(c.dispatch.path == QKJIT_PATH_FUSED);
  CHECK(c.difference() == "");
}

TEST_CASE("gpu: during capture an unprepared spec takes the generic kernel if it is loaded") {
  Capture c;
  // Loads it, with a call on other data.
  const Problem other({.spec = {72, 8, Layout::neox, DType::bf16}});
  const DeviceProblem on_device(c.gpu.workspace(), other);
  qkjit_dispatch ignored{};
  take(on_device.launch(c.gpu.runtime(), QKJIT_PATH_GENERIC, ignored));

  c.launch_as_graph();
  CHECK(c.status == QKJIT_OK);
  CHECK(c.dispatch.path == QKJIT_PATH_GENERIC);
  CHECK(c.dispatch.reason == QKJIT_REASON_STREAM_CAPTURING);
  CHECK(c.difference() == "");

  qkjit_stats stats = QKJIT_STATS_INIT;
  take(qkjit_get_stats(c.gpu.runtime(), &stats));
  CHECK(stats.compiled == 0);
  CHECK(stats.reasons[QKJIT_REASON_STREAM_CAPTURING] == 1);

  c.launch();  // and afterwards the fused one
  CHECK(c.dispatch.path == QKJIT_PATH_FUSED);
}

TEST_CASE("gpu: a captured launch sees all that the one before it wrote, at every replay") {
  // Staged in registers and, from sm_90 on, by bulk loads: both then begin before the other ends.
  const Spec spec = GENERATE(Spec{128, 128, Layout::interleaved, DType::bf16},
                             Spec{128, 64, Layout::neox, DType::bf16});
  const Gpu gpu;
  const Problem before({.spec = spec, .tokens = 4096, .heads_q = 24, .heads_k = 8});  // in place
  Problem expected = before;
  constexpr int kReplays = 3;
  for (int launch = 0; launch < 2 * (kReplays + 1); ++launch) run_on_host(expected);

  const qkjit_spec prepared = to_c(spec);
  take(qkjit_prepare(gpu.runtime(), &prepared, nullptr));
  const DeviceProblem device(gpu.workspace(), before);
  const auto enqueue_two = [&]() -> Result<void> {
    for (int launch = 0; launch < 2; ++launch) {
      qkjit_dispatch dispatch{};
      take(device.launch(gpu.runtime(), QKJIT_PATH_FUSED, dispatch));
    }
    return {};
  };
  take(gpu.workspace().time_graph(enqueue_two, 2, kReplays));  // and one to warm up
  CHECK(first_difference("graph", expected, device.download()) == "");
}

TEST_CASE("gpu: during capture another of the spec's kernels serves if the best is not loaded") {
  // From sm_90 on its second kernel serves calls of every size whose heads have no gaps.
  constexpr Spec kTwoKernels{128, 64, Layout::neox, DType::bf16};
  const Gpu gpu;
  const auto check = [&](Strides strides, bool captured) {
    const Problem before({.spec = kTwoKernels, .tokens = 100, .strides = strides});
    Problem expected = before;
    run_on_host(expected);
    const DeviceProblem device(gpu.workspace(), before);
    qkjit_dispatch dispatch{};
    const auto launch = [&]() -> Result<void> {
      take(device.launch(gpu.runtime(), QKJIT_PATH_NONE, dispatch));
      return {};
    };
    if (captured) {
      take(gpu.workspace().time_graph(launch, 1, 1));
      run_on_host(expected);  // a replay, and one to warm up
    } else {
      take(launch());
    }
    CHECK(dispatch.path == QKJIT_PATH_FUSED);
    CHECK(dispatch.reason == QKJIT_REASON_NONE);
    CHECK(first_difference("fused", expected, device.download()) == "");
  };
  check(Strides::gaps, false);  // loads the first kernel, and no other
  check(Strides::contiguous, true);
  check(Strides::contiguous, false);
  check(Strides::contiguous, true);
}

TEST_CASE("gpu: once a spec is prepared, captures have the generic kernel for its other calls") {
  const Gpu gpu;
  const qkjit_spec spec = to_c(kSpec);
  take(qkjit_prepare(gpu.runtime(), &spec, nullptr));
  const Problem before({.spec = kSpec, .tokens = 100, .in_place = false, .misalignment = 1});
  Problem expected = before;
  run_on_host(expected);
  const DeviceProblem device(gpu.workspace(), before);
  qkjit_dispatch dispatch{};
  const auto launch = [&]() -> Result<void> {
    take(device.launch(gpu.runtime(), QKJIT_PATH_NONE, dispatch));
    return {};
  };
  take(gpu.workspace().time_graph(launch, 1, 1));
  CHECK(dispatch.path == QKJIT_PATH_GENERIC);
  CHECK(dispatch.reason == QKJIT_REASON_ALIGNMENT);
  CHECK(first_difference("generic", expected, device.download()) == "");
}

TEST_CASE("gpu: during capture with nothing loaded a call is not ready, and the capture survives") {
  Capture c;
  take(c.gpu.workspace().capture([&] { c.launch(); }));
  CHECK(c.status == QKJIT_NOT_READY);
  CHECK(std::string(qkjit_last_error()).find("qkjit_prepare") != std::string::npos);
  CHECK(first_difference("captured", c.before, c.device.download()) == "");

  c.launch();
  CHECK(c.status == QKJIT_OK);
  CHECK(c.dispatch.path == QKJIT_PATH_FUSED);
  CHECK(c.difference() == "");
}
