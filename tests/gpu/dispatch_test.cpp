// Which path a call on the device takes and why; and calls that are refused leave every tensor
// alone.
#include <thread>

#include "tests/gpu/gpu.hpp"
#include "tests/support/compare.hpp"

using namespace qkjit;
using namespace qkjit::test;

namespace {

constexpr Spec kSpec{64, 64, Layout::interleaved, DType::bf16};

/// The call must fail with `status` and a message that contains `text`.
void check_refused(qkjit_status status, qkjit_status wanted, const std::string& text) {
  const std::string message = qkjit_last_error();
  CAPTURE(message);
  CHECK(status == wanted);
  CHECK(message.find(text) != std::string::npos);
}

}  // namespace

TEST_CASE("gpu: memory of the wrong side is refused and left alone") {
  const Gpu gpu;
  const Problem before({.spec = kSpec});
  Problem host = before;
  const DeviceProblem device(gpu.workspace(), before);
  const qkjit_args on_host = host.args(), on_device = device.args();

  check_refused(qkjit_launch(gpu.runtime(), &on_host, gpu.stream(), nullptr),
                QKJIT_INVALID_ARGUMENT, "q is host memory");
  check_refused(qkjit_launch(gpu.runtime(), &on_device, QKJIT_STREAM_HOST, nullptr),
                QKJIT_INVALID_ARGUMENT, "q is device memory");
  // One tensor is enough, whichever it is.
  for (const Argument& a : before.arguments()) {
    qkjit_args mixed = on_device;
    (mixed.*a.field).data = (on_host.*a.field).data;
    check_refused(qkjit_launch(gpu.runtime(), &mixed, gpu.stream(), nullptr),
                  QKJIT_INVALID_ARGUMENT, std::string(a.name) + " is host memory");
    mixed = on_host;
    (mixed.*a.field).data = (on_device.*a.field).data;
    check_refused(qkjit_launch(gpu.runtime(), &mixed, QKJIT_STREAM_HOST, nullptr),
                  QKJIT_INVALID_ARGUMENT, std::string(a.name) + " is device memory");
  }
  CHECK(first_difference("host", before, host) == "");
  CHECK(first_difference("device", before, device.download()) == "");
}

TEST_CASE("gpu: misaligned views take the generic kernel") {
  const Gpu gpu;
  for (const DType dtype : {DType::bf16, DType::fp32}) {
    for (int misalignment = 1; misalignment < 8; ++misalignment) {
      if (dtype == DType::fp32 && misalignment % 4 == 0) continue;
      Spec spec = kSpec;
      spec.dtype = dtype;
      check_every_path(gpu,
                       {.spec = spec,
                        .strides = static_cast<Strides>(misalignment % 4),
                        .in_place = misalignment % 2 == 0,
                        .misalignment = misalignment},
                       {QKJIT_PATH_GENERIC, QKJIT_REASON_ALIGNMENT});
    }
  }
}

TEST_CASE("gpu: a strict runtime, and a call that asks for the fused path, refuse fallbacks") {
  qkjit_runtime_options options = QKJIT_RUNTIME_OPTIONS_INIT;
  options.strict = GENERATE(0, 1);
  const qkjit_path path = options.strict ? QKJIT_PATH_NONE : QKJIT_PATH_FUSED;
  const Gpu gpu(options);
  Spec odd = kSpec;
  odd.head_dim = 68;
  for (const ProblemConfig& config :
       {ProblemConfig{.spec = kSpec, .misalignment = 1}, ProblemConfig{.spec = odd}}) {
    const Problem before(config);
    const DeviceProblem device(gpu.workspace(), before);
    qkjit_dispatch dispatch{};
    check_refused(device.launch(gpu.runtime(), path, dispatch), QKJIT_UNSUPPORTED,
                  "a fallback is refused");
    CHECK(first_difference("refused", before, device.download()) == "");
  }
}

TEST_CASE("gpu: without a compiler and without a cache the generic kernel gives the same bytes") {
  qkjit_runtime_options options = QKJIT_RUNTIME_OPTIONS_INIT;
  SECTION("the policy is never to compile") {
    options.compile = QKJIT_COMPILE_NEVER;
    check_every_path(Gpu(options), {.spec = kSpec},
                     {QKJIT_PATH_GENERIC, QKJIT_REASON_COMPILE_FORBIDDEN});
  }
  SECTION("there is no NVRTC") {
    options.nvrtc = "/nonexistent/libnvrtc.so";
    check_every_path(Gpu(options), {.spec = kSpec},
                     {QKJIT_PATH_GENERIC, QKJIT_REASON_NVRTC_MISSING});
  }
}

TEST_CASE("gpu: a second runtime finds what the first compiled") {
  const Gpu gpu;
  check_every_path(gpu, {.spec = kSpec});
  qkjit_stats stats = QKJIT_STATS_INIT;
  take(qkjit_get_stats(gpu.runtime(), &stats));
  CHECK(stats.compiled == 1);
  CHECK(stats.cache_hits == 0);

  qkjit_runtime_options options = QKJIT_RUNTIME_OPTIONS_INIT;
  options.nvrtc = "/nonexistent/libnvrtc.so";
  const RuntimePointer second = gpu.another_runtime(options);
  const Problem before({.spec = kSpec, .seed = 2});
  Problem expected = before;
  run_on_host(expected);
  CHECK(difference_on_device(gpu.workspace(), second.get(), before, expected, QKJIT_PATH_NONE,
                             {QKJIT_PATH_FUSED, QKJIT_REASON_NONE}) == "");
  take(qkjit_get_stats(second.get(), &stats));
  CHECK(stats.compiled == 0);
  CHECK(stats.cache_hits == 1);
  CHECK(stats.fused == 1);
}

TEST_CASE("gpu: a thread without a context is told so") {
  const Gpu gpu;
  const Problem before({.spec = kSpec});
  const DeviceProblem device(gpu.workspace(), before);
  const qkjit_args args = device.args();
  qkjit_status status = QKJIT_OK;
  std::string message;
  std::thread([&] {
    status = qkjit_launch(gpu.runtime(), &args, gpu.stream(), nullptr);
    message = qkjit_last_error();
  }).join();
  CHECK(status == QKJIT_CUDA_ERROR);
  CHECK(message.find("no current CUDA context") != std::string::npos);
}

TEST_CASE("gpu: zero tokens are a no-op") {
  const Gpu gpu;
  const Problem before({.spec = kSpec});
  const DeviceProblem device(gpu.workspace(), before);
  qkjit_args args = device.args();
  args.q.shape[0] = args.k.shape[0] = args.positions.shape[0] = 0;
  qkjit_dispatch dispatch{QKJIT_PATH_CPU, QKJIT_REASON_SHAPE};
  CHECK(qkjit_launch(gpu.runtime(), &args, gpu.stream(), &dispatch) == QKJIT_OK);
  CHECK(dispatch.path == QKJIT_PATH_NONE);
  CHECK(first_difference("zero tokens", before, device.download()) == "");
}
