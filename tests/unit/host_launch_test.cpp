// Launches on host memory through the C interface: right, the same whatever the host has set, and
// without a trace when refused.
#include <algorithm>
#include <atomic>
#include <cfenv>
#include <functional>
#include <thread>
#if defined(__SSE2__)
#include <xmmintrin.h>
#endif

#include "tests/unit/host_problem.hpp"
#include "tests/unit/mentions.hpp"

// Comparisons of bytes are in double parentheses: a failure then does not print them all.

namespace {

const std::string kText = "head_dim=128,rope_dim=96,layout=neox,dtype=";

qkjit_status launch(const RuntimePointer& runtime, const qkjit_args& args,
                    qkjit_dispatch* dispatch = nullptr) {
  return qkjit_launch(runtime.get(), &args, QKJIT_STREAM_HOST, dispatch);
}

qkjit_stats stats_of(const RuntimePointer& runtime) {
  qkjit_stats stats = QKJIT_STATS_INIT;
  REQUIRE(qkjit_get_stats(runtime.get(), &stats) == QKJIT_OK);
  return stats;
}

/// q_out and k_out of a launch with the given threads.
std::vector<HostProblem::Bytes> outputs(HostProblem problem, int cpu_threads) {
  qkjit_runtime_options options = QKJIT_RUNTIME_OPTIONS_INIT;
  options.cpu_threads = cpu_threads;
  const auto runtime = make_runtime(options);
  REQUIRE(launch(runtime, problem.args()) == QKJIT_OK);
  return {problem.q_out, problem.k_out};
}

/// Enough rows for several threads, some of them of subnormal numbers.
HostProblem large_problem() {
  HostProblem problem(kText + "fp32", 600);
  for (std::size_t row = 0; row < 600; row += 5) {
    for (std::size_t i = 0; i < 128; ++i) problem.q[(row * 128 + i) * 4 + 3] &= 0x80;
    for (std::size_t i = 0; i < 128; ++i) problem.q[(row * 128 + i) * 4 + 2] &= 0x7f;
  }
  return problem;
}

}  // namespace

TEST_CASE("host launches agree with the formula in double", "[c_api]") {
  const auto runtime = make_runtime();
  std::uint64_t launches = 0;
  for (const char* dtype : {"bf16", "fp16", "fp32"}) {
    for (const char* shape : {"head_dim=128,rope_dim=128", "head_dim=80,rope_dim=24",
                              "head_dim=33,rope_dim=20", "head_dim=1,rope_dim=0"}) {
      for (const char* layout : {"interleaved", "neox"}) {
        for (const char* rounding :
             {"fused", "split", "eager", "hf", "late_weight", "hf_eager", "late_weight_eager"}) {
          for (const char* positions : {"int64", "int32", "implicit"}) {
            HostProblem problem(fmt::format("{},layout={},dtype={},rounding={},positions={}", shape,
                                            layout, dtype, rounding, positions),
                                5);
            qkjit_dispatch dispatch = {QKJIT_PATH_NONE, QKJIT_REASON_NONE};
            INFO(shape << " " << layout << " " << dtype << " " << rounding << " " << positions);
            REQUIRE(launch(runtime, problem.args(), &dispatch) == QKJIT_OK);
            CHECK(dispatch.path == QKJIT_PATH_CPU);
            CHECK(dispatch.reason == QKJIT_REASON_HOST_MEMORY);
            const bool fp32 = problem.spec.dtype == QKJIT_FP32;  // intermediate roundings show
            const bool once = problem.spec.rounding == QKJIT_ROUNDING_FUSED && !fp32;
            const bool most_often = problem.spec.rounding == QKJIT_ROUNDING_HF_EAGER;
            CHECK(problem.worst_error() < (once ? 1.001 : fp32 ? 6 : most_often ? 4 : 3));
            ++launches;
          }
        }
      }
    }
  }
  const qkjit_stats stats = stats_of(runtime);
  CHECK(stats.cpu == launches);
  CHECK(stats.reasons[QKJIT_REASON_HOST_MEMORY] == launches);
  CHECK(stats.fused + stats.generic + stats.compiled + stats.failed == 0);
}

TEST_CASE("rounding modes differ in their bytes", "[c_api]") {
  std::vector<HostProblem::Bytes> all;
  for (const char* rounding :
       {"fused", "split", "eager", "hf", "late_weight", "hf_eager", "late_weight_eager"}) {
    auto bytes = outputs(HostProblem(kText + "fp16,rounding=" + rounding, 200), 1)[0];
    CHECK(std::count(all.begin(), all.end(), bytes) == 0);
    all.push_back(std::move(bytes));
  }
}

TEST_CASE("in place gives the bytes of out of place", "[c_api]") {
  const auto runtime = make_runtime();
  HostProblem problem(kText + "bf16", 5);
  REQUIRE(launch(runtime, problem.args()) == QKJIT_OK);
  qkjit_args args = problem.args();
  args.q_out = args.k_out = QKJIT_TENSOR_INIT;
  REQUIRE(launch(runtime, args) == QKJIT_OK);
  CHECK((problem.q == problem.q_out));
  CHECK((problem.k == problem.k_out));
}

TEST_CASE("no tokens are nothing to do", "[c_api]") {
  const auto runtime = make_runtime();
  HostProblem problem(kText + "bf16", 0);
  qkjit_dispatch dispatch = {QKJIT_PATH_CPU, QKJIT_REASON_SHAPE};
  REQUIRE(launch(runtime, problem.args(), &dispatch) == QKJIT_OK);
  CHECK(dispatch.path == QKJIT_PATH_NONE);
  CHECK(dispatch.reason == QKJIT_REASON_NONE);
  CHECK(stats_of(runtime).cpu == 0);
}

TEST_CASE("NaN and infinity stay in their rows, as IEEE has them", "[c_api]") {
  const auto runtime = make_runtime();
  HostProblem problem("head_dim=8,rope_dim=4,layout=interleaved,dtype=bf16", 2), spoilt = problem;
  const auto put = [](HostProblem::Bytes& bytes, std::size_t i, unsigned bits) {
    bytes[2 * i] = static_cast<unsigned char>(bits), bytes[2 * i + 1] = bits >> 8 & 0xff;
  };
  const auto at = [](const HostProblem::Bytes& bytes, std::size_t i) {
    return bytes[2 * i] | bytes[2 * i + 1] << 8;
  };
  put(spoilt.q, 8 + 1, 0xffc1);   // a NaN in row 1
  put(spoilt.q, 16 + 3, 0x7f80);  // infinity in row 2
  REQUIRE(launch(runtime, problem.args()) == QKJIT_OK);
  REQUIRE(launch(runtime, spoilt.args()) == QKJIT_OK);
  for (std::size_t i = 0; i < 48; ++i) {
    INFO("element " << i);
    if (i / 8 == 1 || i == 16 + 2 || i == 16 + 3) {  // the whole row; infinity's pair: inf * 0
      CHECK(at(spoilt.q_out, i) == 0x7fff);
    } else if (i / 8 == 2) {
      CHECK((at(spoilt.q_out, i) & 0x7fff) == 0);  // x / infinity
    } else {
      CHECK(at(spoilt.q_out, i) == at(problem.q_out, i));
    }
  }
  CHECK((spoilt.k_out == problem.k_out));
}

TEST_CASE("a refused call leaves every tensor untouched", "[c_api]") {
  using Spoil = std::function<void(HostProblem&, qkjit_args&)>;
  struct Case {
    qkjit_status status;
    const char* word;
    Spoil spoil;
  };
  const Case cases[] = {
      {QKJIT_INVALID_ARGUMENT, "struct_size", [](auto&, auto& a) { a.struct_size -= 8; }},
      {QKJIT_INVALID_ARGUMENT, "eps", [](auto&, auto& a) { a.eps = -1; }},
      {QKJIT_INVALID_ARGUMENT, "rope_dim=95", [](auto&, auto& a) { a.spec.rope_dim = 95; }},
      {QKJIT_INVALID_ARGUMENT, "q_weight is null",
       [](auto&, auto& a) { a.q_weight.data = nullptr; }},
      {QKJIT_INVALID_ARGUMENT, "k has rank 2", [](auto&, auto& a) { a.k.rank = 2; }},
      {QKJIT_INVALID_ARGUMENT, "q_out overlaps q",
       [](auto& p, auto& a) { a.q_out.data = p.q.data() + 2; }},
      {QKJIT_INVALID_ARGUMENT, "positions[4] = 5", [](auto& p, auto&) { p.positions64[4] = 5; }},
      {QKJIT_INVALID_ARGUMENT, "positions[4] = -3", [](auto& p, auto&) { p.positions64[4] = -3; }},
      {QKJIT_UNSUPPORTED, "head_dim=1025", [](auto&, auto& a) { a.spec.head_dim = 1025; }},
      {QKJIT_UNSUPPORTED, "path=fused", [](auto&, auto& a) { a.path = QKJIT_PATH_FUSED; }},
      {QKJIT_UNSUPPORTED, "path=generic", [](auto&, auto& a) { a.path = QKJIT_PATH_GENERIC; }},
  };
  const auto runtime = make_runtime();
  for (const Case& c : cases) {
    HostProblem problem(kText + "bf16", 5);
    qkjit_args args = problem.args();
    c.spoil(problem, args);
    const HostProblem before = problem;
    qkjit_dispatch dispatch = {QKJIT_PATH_GENERIC, QKJIT_REASON_SHAPE};
    INFO(c.word);
    CHECK(launch(runtime, args, &dispatch) == c.status);
    CHECK(mentions(qkjit_last_error(), {c.word}));
    CHECK(dispatch.path == QKJIT_PATH_GENERIC);
    CHECK((problem.q == before.q && problem.k == before.k));
    CHECK((problem.q_out == before.q_out && problem.k_out == before.k_out));
  }
  CHECK(stats_of(runtime).cpu == 0);
}

TEST_CASE("a CUDA stream without device or context is a CUDA error", "[c_api]") {
  const auto runtime = make_runtime();
  HostProblem problem(kText + "bf16", 5);
  const qkjit_args args = problem.args();
  CHECK(qkjit_launch(runtime.get(), &args, nullptr, nullptr) == QKJIT_CUDA_ERROR);
  CHECK(std::string(qkjit_last_error()) != "");
  CHECK((problem.q_out == HostProblem::Bytes(problem.q_out.size())));
  CHECK(qkjit_prepare(runtime.get(), &problem.spec, nullptr) == QKJIT_CUDA_ERROR);
}

TEST_CASE("the number of threads changes no bit", "[c_api][threads]") {
  const HostProblem problem = large_problem();
  const auto one = outputs(problem, 1);
  for (const int threads : {0, 2, 7}) CHECK((outputs(problem, threads) == one));
}

TEST_CASE("the host's floating-point modes change no bit and stay set", "[c_api]") {
  const HostProblem problem = large_problem();
  const auto expected = outputs(problem, 4);
  for (const int rounding : {FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO}) {
    std::fesetround(rounding);
    const auto got = outputs(problem, 4);
    const int after = std::fegetround();
    std::fesetround(FE_TONEAREST);
    CHECK(after == rounding);
    CHECK((got == expected));
  }
#if defined(__SSE2__)
  constexpr unsigned kFlushAndZero = 0x8040;  // FTZ and DAZ
  const unsigned before = _mm_getcsr();
  _mm_setcsr(before | kFlushAndZero);
  const auto got = outputs(problem, 4);
  const unsigned after = _mm_getcsr();
  _mm_setcsr(before);
  CHECK((after & kFlushAndZero) == kFlushAndZero);
  CHECK((got == expected));
#endif
}

TEST_CASE("one runtime serves many threads at once", "[c_api][threads]") {
  const auto runtime = make_runtime();
  HostProblem expected(kText + "fp16", 20);
  REQUIRE(launch(runtime, expected.args()) == QKJIT_OK);
  std::vector<HostProblem> problems(4, HostProblem(kText + "fp16", 20));
  std::atomic<int> failures{0};
  {
    std::vector<std::jthread> threads;
    for (HostProblem& problem : problems) {
      threads.emplace_back([&] {
        for (int i = 0; i < 50; ++i) {
          if (launch(runtime, problem.args()) != QKJIT_OK) ++failures;
          qkjit_args wrong = problem.args();
          wrong.eps = -1;
          if (launch(runtime, wrong) != QKJIT_INVALID_ARGUMENT) ++failures;
        }
      });
    }
  }
  CHECK(failures == 0);
  for (const HostProblem& problem : problems) CHECK((problem.q_out == expected.q_out));
  CHECK(stats_of(runtime).cpu == 201);
}
