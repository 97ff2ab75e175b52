// V, copied beside q and k: every bit arrives, and q and k are what they are without it.
#include "spec/support.hpp"
#include "spec/text.hpp"
#include "tests/catch.hpp"
#include "tests/simt/paths.hpp"
#include "tests/support/batch_forms.hpp"

using namespace qkjit;
using namespace qkjit::simt;
using test::kBatchForms;
using test::Problem;
using test::ProblemConfig;

namespace {

constexpr Spec copying(Spec spec) {
  spec.v = Values::copy;
  return spec;
}

/// In batches too, if the spec has them.
ProblemConfig config_of(const Spec& spec, std::size_t number, std::size_t i) {
  ProblemConfig config = config_of_cycle(spec, number, i % kCycle);
  config.heads_v = static_cast<int>(1 + (number + 2 * i) % 9);
  return spec.batch == Batch::strided ? test::with_batches(config, i) : config;
}

template <Spec kSpec, Variant kVariant = default_variant(kSpec)>
void check_copies(std::size_t number) {
  for (std::size_t i = 0; i < kBatchForms; ++i) {
    const Problem before(config_of(kSpec, number, i));
    if (before.config().heads_v == 0) continue;
    Problem after = before;
    const Operation operation = checked(after.args());
    const bool fits = kVariant.staging == Staging::registers || operation.takes_bulk;
    if (!fits) continue;
    fused_kernel<kSpec, kVariant>().run(fused_launch(operation, kVariant));
    check_against_cpu("fused, " + to_text(kVariant), before, after);
  }
}

}  // namespace

TEST_CASE("v, fused: every bit arrives in every variant") {
  constexpr Spec kSpec = copying({.head_dim = 128, .rope_dim = 128, .layout = Layout::neox});
  constexpr Spec kStrided = [] {
    Spec spec = copying({.head_dim = 64, .rope_dim = 48, .dtype = DType::fp32});
    spec.batch = Batch::strided;
    return spec;
  }();
  check_copies<kSpec>(0);
  check_copies<kSpec, Variant{.lanes = 16, .rows = 2, .threads = 64, .staging = Staging::bulk}>(1);
  check_copies<kSpec,
               Variant{.lanes = 8, .rows = 1, .threads = 96, .span = Span::token, .pdl = true}>(2);
  check_copies<kStrided>(3);
  check_copies<kStrided,
               Variant{.lanes = 8, .rows = 4, .threads = 64, .staging = Staging::bulk_load}>(4);
  check_copies<copying({.head_dim = 72,
                        .rope_dim = 40,
                        .layout = Layout::neox,
                        .dtype = DType::fp16,
                        .q_norm = Norm::layer,
                        .k_norm = Norm::none})>(5);
}

TEST_CASE("v, generic: every bit arrives in every shape") {
  std::size_t number = 0;
  for (const int head_dim : {1, 7, 40, 64, 72, 100, 128, 264, 512, 1000}) {
    for (int i = 0; i < 12; ++i, ++number) {
      Spec spec = copying({.head_dim = head_dim,
                           .rope_dim = i % 3 == 0 ? 0 : head_dim / 2 * 2,
                           .layout = static_cast<Layout>(i % 2),
                           .dtype = static_cast<DType>(number % 3),
                           .q_norm = static_cast<Norm>(i % 2 == 0 ? 0 : 2)});
      spec.batch = static_cast<Batch>(i / 2 % 2);
      ProblemConfig config = config_of(spec, number, number);
      config.misalignment = number % 4 == 0 ? 1 : 0;
      const Problem before(config);
      Problem after = before;
      run_generic(checked(after.args()));
      check_against_cpu("generic", before, after);
    }
  }
}
