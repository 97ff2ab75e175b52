// Batches, copies of V and two streams in one launch: the bytes of the CPU path on a GPU too.
#include "spec/text.hpp"
#include "tests/catch.hpp"
#include "tests/gpu/gpu.hpp"
#include "tests/support/batch_forms.hpp"
#include "tests/support/compare.hpp"

using namespace qkjit;
using namespace qkjit::test;

namespace {

std::vector<Spec> shapes() {
  std::vector<Spec> specs;
  for (const int head_dim : {64, 72, 128, 256}) {
    for (const Layout layout : {Layout::interleaved, Layout::neox}) {
      const std::size_t n = specs.size();
      specs.push_back({.head_dim = head_dim,
                       .rope_dim = n % 3 == 0 ? head_dim : head_dim / 2,
                       .layout = layout,
                       .dtype = static_cast<DType>(n % 3),
                       .rounding = static_cast<Rounding>(n % 7),
                       .positions = static_cast<Positions>(n / 2 % 3)});
    }
  }
  return specs;
}

ProblemConfig config_of(const Spec& spec, std::size_t number) {
  return {.spec = spec,
          .tokens = static_cast<std::int64_t>(2 + number * 7 % 40),
          .heads_q = 5,
          .heads_k = 3,
          .strides = static_cast<Strides>(number % 4),
          .in_place = number / 4 % 2 == 0,
          .data = number % 2 == 0 ? Data::special : Data::normal,
          .seed = number + 1};
}

/// A dual launch of the two gives the bytes of two calls on the host.
void check_dual(const Gpu& gpu, const ProblemConfig& first, const ProblemConfig& second) {
  const Problem before[] = {Problem(first), Problem(second)};
  Problem expected[] = {before[0], before[1]};
  for (Problem& problem : expected) run_on_host(problem);
  const DeviceProblem a(gpu.workspace(), before[0]), b(gpu.workspace(), before[1]);
  const qkjit_args args_a = a.args(), args_b = b.args();
  qkjit_dispatch taken{};
  take(qkjit_launch_dual(gpu.runtime(), &args_a, &args_b, gpu.stream(), &taken));
  CHECK((taken.path == QKJIT_PATH_FUSED && taken.reason == QKJIT_REASON_NONE));
  CHECK(first_difference("first", expected[0], a.download()) == "");
  CHECK(first_difference("second", expected[1], b.download()) == "");
}

}  // namespace

TEST_CASE("gpu: batches in every form, on every path") {
  const Gpu gpu;
  std::size_t number = 0;
  for (const Spec& spec : shapes()) {
    for (std::size_t i = 0; i < kBatchForms; ++i, ++number) {
      check_every_path(gpu, with_batches(config_of(spec, number), i));
    }
  }
}

TEST_CASE("gpu: batches that do not fold are the generic kernel's, if the spec says that they do") {
  const Gpu gpu;
  ProblemConfig config = config_of(shapes().front(), 0);
  config.batches = 2, config.gap_of_batches = true;
  check_every_path(gpu, config, {QKJIT_PATH_GENERIC, QKJIT_REASON_BATCH});
  config.gap_of_batches = false, config.strides = Strides::contiguous;
  check_every_path(gpu, config);
}

TEST_CASE("gpu: every bit of V arrives, on every path") {
  const Gpu gpu;
  std::size_t number = 0;
  for (Spec spec : shapes()) {
    spec.v = Values::copy;
    if (number % 4 == 1) spec.angles = spec.rope_dim > 0 ? Angles::computed : Angles::table;
    if (number % 4 == 2) spec.weights = Weights::per_head;
    if (number % 8 == 3 && spec.q_norm != Norm::layer) spec.norm_scope = NormScope::token;
    spec = normalized(spec);
    for (const bool batched : {false, true}) {
      ProblemConfig config = config_of(spec, ++number);
      config.heads_v = static_cast<int>(1 + number % 9);
      check_every_path(gpu, batched ? with_batches(config, number % 5) : config);
    }
  }
}

TEST_CASE("gpu: two streams in one launch, of one spec and of two") {
  const Gpu gpu;
  const std::vector<Spec> specs = shapes();
  for (std::size_t i = 0; i < specs.size(); ++i) {
    ProblemConfig first = config_of(specs[i], i), same = config_of(specs[i], i + 1);
    first.tokens = 700, same.tokens = 33;
    check_dual(gpu, first, same);
    ProblemConfig other = config_of(specs[(i + 3) % specs.size()], i + 2);
    other.spec.v = Values::copy, other.heads_v = 2;
    check_dual(gpu, first, other);
    check_dual(gpu, with_batches(other, 0), first);
  }
  const Spec text{.head_dim = 128, .rope_dim = 0, .positions = Positions::implicit};
  check_dual(gpu, config_of(specs[4], 0), config_of(text, 1));
  check_dual(gpu, config_of(text, 2), config_of(specs[5], 3));
}
