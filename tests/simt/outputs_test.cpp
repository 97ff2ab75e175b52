// Outputs in FP8 and in a paged cache: the bytes of the CPU path, in the fused and in the generic
// kernel.
#include "spec/support.hpp"
#include "spec/text.hpp"
#include "tests/catch.hpp"
#include "tests/simt/paths.hpp"
#include "tests/simt/rope_forms.hpp"
#include "tests/support/norm_specs.hpp"
#include "tests/support/output_forms.hpp"

using namespace qkjit;
using namespace qkjit::simt;
using test::Problem;
using test::ProblemConfig;

namespace {

/// In batches too, if the spec has them.
ProblemConfig config_of(const Spec& spec, std::size_t number, std::size_t i) {
  ProblemConfig config = config_of_cycle(spec, number, i % kCycle);
  if (spec.v == Values::copy) config.heads_v = config.heads_k;
  if (spec.batch == Batch::strided) config = test::with_batches(config, number + i);
  return test::with_output_turns(config, number + i);
}

void check_fused_outputs(const FusedKernel& kernel, std::size_t number) {
  for (std::size_t i = 0; i < kCycle; ++i) {
    ProblemConfig config = config_of(kernel.spec, number, i);
    if (config.spec.v != kernel.spec.v) continue;
    config.tokens = 2 + static_cast<std::int64_t>(kernel.rows_per_block() / 8 + i % 3);
    const Problem before(config);
    Problem after = before;
    const Operation operation = checked(after.args());
    CHECK(operation.aligned);
    CHECK(operation.support.dispatch.path == Path::fused);
    const bool fits = kernel.variant.staging == Staging::registers || operation.takes_bulk;
    if (!fits) continue;
    kernel.run(fused_launch(operation, kernel.variant));
    check_against_cpu("fused, " + to_text(kernel.variant), before, after);
  }
}

/// With V, where the spec can have it, in sequences of their own or not.
constexpr Spec with_values(Spec spec, Batch batch = Batch::folded) {
  spec.v = Values::copy, spec.batch = batch;
  return spec;
}

/// The spec in every form of outputs, as the default variant, or in turns others.
template <Spec kSpec, int kFirst, int kStep = 1, int kForm = kFirst>
void check_forms(std::size_t number) {
  constexpr Spec kHere = test::output_spec(kSpec, kForm);
  if constexpr (kForm >= test::kOutputForms) {
    return;
  } else if constexpr (scales_tokens(kHere) && runs_by_token(kHere)) {
    check_forms<kSpec, kFirst, kStep, kForm + kStep>(number);  // refused
  } else {
    constexpr Variant kVariant = [=] {
      Variant variant = default_variant(kHere);
      if (runs_by_token(kHere)) return kForm % 3 == 0 ? variant : staged_token_variant(kHere);
      variant.pdl = kForm % 3 == 0;
      if (scales_tokens(kHere)) {
        variant.threads = 64;
        return variant;
      }
      if (kForm % 4 == 1) variant.staging = Staging::bulk_load, variant.rows = 2;
      if (kForm % 4 == 2) variant.span = Span::token, variant.rows = 3;
      return variant;
    }();
    check_fused_outputs(fused_kernel<kHere, kVariant>(), number);
    check_forms<kSpec, kFirst, kStep, kForm + kStep>(number + 1);
  }
}

}  // namespace

TEST_CASE("outputs, fused: every form gives the bytes of the CPU path", "[outputs]") {
  check_forms<with_values({128, 128, Layout::neox, DType::bf16}), 0>(0);
}

TEST_CASE("outputs, fused: with batches that do not fold", "[outputs]") {
  check_forms<with_values(
                  {64, 48, Layout::interleaved, DType::fp32, Rounding::eager, Positions::int32},
                  Batch::strided),
              0, 2>(1);
  check_forms<with_values({72, 72, Layout::neox, DType::bf16, Rounding::split}, Batch::strided), 3,
              4>(2);
}

TEST_CASE("outputs, fused: rows that are no power of two, other norms and tables", "[outputs]") {
  constexpr Spec kOdd{.head_dim = 72,
                      .rope_dim = 40,
                      .layout = Layout::neox,
                      .dtype = DType::fp16,
                      .rounding = Rounding::hf_eager,
                      .q_norm = Norm::layer,
                      .k_norm = Norm::none,
                      .norm_order = NormOrder::after};
  check_forms<kOdd, 1, 3>(3);
  check_forms<form_spec(33), 4, 5>(4);
  check_forms<test::kNormSpecs[5].spec(), 3, 5>(5);
  check_forms<Spec{.head_dim = 128, .rope_dim = 0, .dtype = DType::fp16}, 0, 4>(6);
  constexpr Spec kComputed{.head_dim = 128,
                           .rope_dim = 64,
                           .layout = Layout::neox,
                           .rounding = Rounding::late_weight,
                           .angles = Angles::computed};
  check_forms<kComputed, 3, 5>(7);
}

TEST_CASE("outputs, fused: where a token's heads share scales, rows wait or are done again",
          "[outputs]") {
  // V's chunks are dealt to lanes otherwise than those of q and k, whose pairs meet in a lane.
  constexpr Spec kSpec = with_values({.head_dim = 128, .rope_dim = 64, .layout = Layout::neox});
  constexpr Spec kFp8 = test::output_spec(kSpec, 10), kPaged = test::output_spec(kSpec, 11);
  constexpr auto kOf = [](const Spec& spec, int rows, int threads) {
    Variant variant = default_variant(spec);
    variant.rows = rows, variant.threads = threads;
    return variant;
  };
  check_fused_outputs(fused_kernel<kFp8, kOf(kFp8, 1, 512)>(), 0);
  check_fused_outputs(fused_kernel<kFp8, kOf(kFp8, 4, 128)>(), 1);
  check_fused_outputs(fused_kernel<kFp8, kOf(kFp8, 1, 32)>(), 2);
  check_fused_outputs(fused_kernel<kPaged, kOf(kPaged, 2, 256)>(), 3);
  check_fused_outputs(fused_kernel<kPaged, kOf(kPaged, 1, 64)>(), 4);
}

TEST_CASE("outputs, fused: where a block has a token's heads", "[outputs]") {
  constexpr auto kByToken = [](NormScope scope, Norm norm, Weights weights, NormOrder order) {
    return Spec{.head_dim = 64,
                .rope_dim = 64,
                .layout = Layout::neox,
                .rounding = Rounding::hf,
                .q_norm = norm,
                .k_norm = norm,
                .norm_order = order,
                .norm_scope = scope,
                .weights = weights};
  };
  constexpr NormOrder kBefore = NormOrder::before, kAfter = NormOrder::after;
  check_forms<kByToken(NormScope::token, Norm::rms, Weights::shared, kBefore), 0, 4>(8);
  check_forms<kByToken(NormScope::head, Norm::layer, Weights::per_head, kAfter), 3, 2>(9);
}

TEST_CASE("outputs, generic: the bytes of the CPU path in all forms and shapes", "[outputs]") {
  std::size_t number = 0;
  for (const int head_dim : {1, 7, 24, 40, 64, 72, 100, 128, 250, 264, 512, 1000}) {
    for (int i = 0; i < 4 * test::kOutputForms; ++i, ++number) {
      Spec spec{.head_dim = head_dim,
                .rope_dim = i % 3 == 0 ? 0 : head_dim / 2 * 2,
                .layout = static_cast<Layout>(i / 2 % 2),
                .dtype = static_cast<DType>(number % 3),
                .rounding = static_cast<Rounding>(number % 7),
                .positions = static_cast<Positions>(number / 2 % 3),
                .q_norm = static_cast<Norm>(i % 2 == 0 ? 0 : 2),
                .norm_order = static_cast<NormOrder>(number / 3 % 2)};
      if (i % 4 == 1) spec.angles = Angles::computed;
      if (i % 4 == 2) spec.weights = Weights::per_head;
      if (i % 4 == 3 || i % 8 == 0)
        spec.v = Values::copy, spec.batch = static_cast<Batch>(i / 4 % 2);
      spec = normalized(test::output_spec(spec, i));
      if (!supports(spec)) continue;
      ProblemConfig config = config_of(spec, number, static_cast<std::size_t>(i));
      config.misalignment = number % 4 == 0 ? 1 : 0;
      config.tokens = 5;
      const Problem before(config);
      Problem after = before;
      run_generic(checked(after.args()));
      check_against_cpu("generic", before, after);
    }
  }
}
