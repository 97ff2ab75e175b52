// Batches that do not fold, q and k of different lengths, and either alone: the bytes of the CPU
// path, in the fused and in the generic kernel.
#include "tests/support/batch_forms.hpp"

#include "spec/support.hpp"
#include "spec/text.hpp"
#include "tests/catch.hpp"
#include "tests/simt/paths.hpp"
#include "tests/simt/rope_forms.hpp"
#include "tests/support/norm_specs.hpp"

using namespace qkjit;
using namespace qkjit::simt;
using test::kBatchForms;
using test::Problem;
using test::ProblemConfig;
using test::with_batches;

namespace {

constexpr Spec strided(Spec spec) {
  spec.batch = Batch::strided;
  return spec;
}

void check_forms(const FusedKernel& kernel, std::size_t number) {
  for (std::size_t i = 0; i < kBatchForms; ++i) {
    ProblemConfig config = config_of_cycle(kernel.spec, number + i, (number + i) % kCycle);
    config.tokens = 2 + static_cast<std::int64_t>(kernel.rows_per_block() / 12 + i % 3);
    const Problem before(with_batches(config, i));
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

template <Spec kSpec>
void check_variants(std::size_t number) {
  constexpr Variant kDefault = default_variant(kSpec);
  constexpr auto kWith = [=](Staging staging, Span span, int rows) {
    Variant variant = kDefault;
    variant.staging = staging, variant.span = span, variant.rows = rows, variant.pdl = true;
    return variant;
  };
  check_forms(fused_kernel<kSpec>(), number);
  check_forms(fused_kernel<kSpec, kWith(Staging::registers, Span::token, 1)>(), number + 1);
  check_forms(fused_kernel<kSpec, kWith(Staging::bulk_load, Span::slice, 2)>(), number + 2);
  check_forms(fused_kernel<kSpec, kWith(Staging::bulk, Span::slice, 4)>(), number + 3);
}

void check_generic(const Spec& spec, std::size_t number) {
  for (std::size_t i = 0; i < kBatchForms; ++i) {
    ProblemConfig config =
        with_batches(config_of_cycle(spec, number + i, (number + i) % kCycle), i);
    config.misalignment = (number + i) % 5 == 0 ? 1 : 0;
    config.spec.batch =
        static_cast<Batch>((number + i) % 2 == 0 || config.tokens_k >= 0 || config.own_k_positions);
    const Problem before(config);
    Problem after = before;
    run_generic(checked(after.args()));
    check_against_cpu("generic", before, after);
  }
}

}  // namespace

TEST_CASE("batches, fused: every variant gives the bytes of the CPU path") {
  check_variants<strided({128, 128, Layout::neox, DType::bf16})>(0);
  check_variants<strided(
      {64, 48, Layout::interleaved, DType::fp32, Rounding::eager, Positions::int32})>(3);
  check_variants<strided({.head_dim = 80,
                          .rope_dim = 80,
                          .layout = Layout::neox,
                          .dtype = DType::fp16,
                          .positions = Positions::implicit})>(5);
  check_variants<strided({.head_dim = 64,
                          .rope_dim = 64,
                          .layout = Layout::neox,
                          .q_norm = Norm::rms,
                          .k_norm = Norm::none,
                          .sections = {12, 10, 10}})>(1);
}

TEST_CASE("batches, fused: norms and forms of rotation give the bytes of the CPU path") {
  check_forms(fused_kernel<strided(form_spec(0))>(), 0);
  check_forms(fused_kernel<strided(form_spec(7))>(), 2);
  check_forms(fused_kernel<strided(form_spec(14))>(), 4);
  check_forms(fused_kernel<strided(form_spec(33))>(), 6);
  check_forms(fused_kernel<strided(test::kNormSpecs[1].spec())>(), 1);
  check_forms(fused_kernel<strided(test::kNormSpecs[5].spec())>(), 3);
  check_forms(fused_kernel<strided({.head_dim = 128, .rope_dim = 0})>(), 5);
}

TEST_CASE("batches, generic: the bytes of the CPU path in all forms and shapes") {
  std::size_t number = 0;
  for (const int head_dim : {1, 7, 40, 64, 72, 100, 128, 264, 512, 1000}) {
    for (const int rope_dim : {0, head_dim / 2 * 2, head_dim / 4 * 2}) {
      for (int i = 0; i < 6; ++i, ++number) {
        const Spec spec{.head_dim = head_dim,
                        .rope_dim = rope_dim,
                        .layout = static_cast<Layout>(i % 2),
                        .dtype = static_cast<DType>(number % 3),
                        .rounding = static_cast<Rounding>(number % 7),
                        .positions = static_cast<Positions>(i / 2 % 3)};
        check_generic(spec, number);
      }
    }
  }
  for (int n = 0; n < kForms; n += 2) check_generic(form_spec(n), number++);
  for (const test::SpecRow& row : test::kNormSpecs) {
    if (!field_against_batches(row.spec()).empty()) continue;
    check_generic(row.spec(), number++);
  }
}
