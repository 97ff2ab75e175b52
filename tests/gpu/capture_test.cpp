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
