// Outputs in FP8 and in a paged cache: the bytes of the CPU path on a GPU too, where FP8 is the
// hardware's own conversion.
#include "spec/support.hpp"
#include "tests/catch.hpp"
#include "tests/gpu/gpu.hpp"
#include "tests/support/compare.hpp"
#include "tests/support/output_forms.hpp"

using namespace qkjit;
using namespace qkjit::test;

namespace {

std::vector<Spec> shapes() {
  Spec by_token{
      .head_dim = 128, .rope_dim = 128, .layout = Layout::neox, .norm_scope = NormScope::token};
  Spec computed{.head_dim = 64,
                .rope_dim = 64,
                .layout = Layout::neox,
                .dtype = DType::fp16,
                .rounding = Rounding::split,
                .angles = Angles::computed};
  Spec strided{.head_dim = 128, .rope_dim = 64, .rounding = Rounding::hf};
  strided.v = Values::copy, strided.batch = Batch::strided;
  Spec folded{.head_dim = 128, .rope_dim = 128, .layout = Layout::neox};
  folded.v = Values::copy;
  Spec odd{.head_dim = 72, .rope_dim = 40, .dtype = DType::fp32, .rounding = Rounding::eager};
  odd.v = Values::copy;
  return {folded, strided, odd, by_token, computed};
}

ProblemConfig config_of(const Spec& spec, std::size_t number) {
  ProblemConfig config{.spec = spec,
                       .tokens = static_cast<std::int64_t>(2 + number * 7 % 40),
                       .heads_q = 5,
                       .heads_k = 3,
                       .strides = static_cast<Strides>(number % 4),
                       .in_place = number / 4 % 2 == 0,
                       .data = number % 2 == 0 ? Data::special : Data::normal,
                       .seed = number + 1};
  if (spec.v == Values::copy) config.heads_v = config.heads_k;
  if (spec.batch == Batch::strided) config = with_batches(config, number % 5);
  return with_output_turns(config, number);
}

}  // namespace

TEST_CASE("gpu: outputs in FP8 and in a paged cache, on every path") {
  const Gpu gpu;
  std::size_t number = 0;
  for (const Spec& spec : shapes()) {
    for (int form = 0; form < kOutputForms; ++form) {
      if (!supports(output_spec(spec, form))) continue;
      for (int i = 0; i < 2; ++i)
        check_every_path(gpu, config_of(output_spec(spec, form), number++));
    }
  }
}

TEST_CASE("gpu: floats of any bits in FP8 are what the CPU path makes of them") {
  const Gpu gpu;
  for (const OutScale scale : {OutScale::given, OutScale::head, OutScale::token}) {
    Spec spec{.head_dim = 128, .rope_dim = 128, .dtype = DType::fp32};
    spec.v = Values::copy;
    ProblemConfig config{.spec = with_outputs(spec, Out::same, Out::fp8_e4m3, scale),
                         .tokens = 1000,
                         .heads_v = 16,
                         .scales = ScaleForm::one};
    check_every_path(gpu, config);
  }
}

TEST_CASE("gpu: outputs of two streams in one launch") {
  const Gpu gpu;
  const std::vector<Spec> specs = shapes();
  for (int form = 0; form < kOutputForms; ++form) {
    const auto number = static_cast<std::size_t>(form);
    const Problem before[] = {Problem(config_of(output_spec(specs[0], form), number)),
                              Problem(config_of(output_spec(specs[number % 2], form + 3), 7))};
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
}

TEST_CASE("gpu: outputs in shapes that only the generic kernel takes") {
  const Gpu gpu;
  std::size_t number = 0;
  for (const int head_dim : {7, 33, 100, 520, 1000}) {
    for (int form = 0; form < kOutputForms; ++form) {
      Spec spec{.head_dim = head_dim,
                .rope_dim = head_dim / 2 * 2,
                .layout = static_cast<Layout>(form % 2),
                .dtype = static_cast<DType>(number % 3)};
      spec.v = Values::copy;
      check_every_path(gpu, config_of(output_spec(spec, form), number++),
                       {QKJIT_PATH_GENERIC, QKJIT_REASON_SHAPE});
    }
  }
}
