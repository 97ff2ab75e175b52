#include "tests/simt/paths.hpp"

#include <stdexcept>

#include "kernels/generic_by_token.cuh"
#include "tests/catch.hpp"
#include "tests/support/compare.hpp"
#include "tests/support/runtime.hpp"

namespace qkjit::simt {

using test::Data;
using test::Problem;
using test::ProblemConfig;
using test::Strides;

Operation checked(const qkjit_args& args) {
  const auto operation = check_args(args);
  if (!operation) throw std::runtime_error(operation.error().message);
  return *operation;
}

void run_generic(const Operation& operation) {
  const GenericLaunch call = generic_launch(operation);
  const auto [dtype, slots, forms] = generic_kind(generic_spec(operation));
  const auto run_forms = [&]<DType kDType, Forms kForms> {
    const AllFrequencies* const f = operation.frequencies.get();
    return slots == 1   ? generic<kDType, 1, kForms>(call.params, f)
           : slots == 2 ? generic<kDType, 2, kForms>(call.params, f)
                        : generic<kDType, kGenericMaxSlots, kForms>(call.params, f);
  };
  const auto run = [&]<DType kDType> {
    const AllFrequencies* const f = operation.frequencies.get();
    if (forms == Forms::by_token) return generic_by_token<kDType, Forms::all>(call.params, f);
    if (forms == Forms::by_token_computed) {
      return generic_by_token<kDType, Forms::computed>(call.params, f);
    }
    return forms == Forms::common ? run_forms.template operator()<kDType, Forms::common>()
           : forms == Forms::all  ? run_forms.template operator()<kDType, Forms::all>()
                                  : run_forms.template operator()<kDType, Forms::computed>();
  };
  launch(call.grid.blocks, call.grid.threads, [&] {
    switch (dtype) {
      case DType::bf16:
        return run.operator()<DType::bf16>();
      case DType::fp16:
        return run.operator()<DType::fp16>();
      case DType::fp32:
        return run.operator()<DType::fp32>();
    }
  });
}

ProblemConfig config_of_cycle(const Spec& spec, std::size_t number, std::size_t i) {
  constexpr int kHeads[][2] = {{3, 2}, {1, 1}, {8, 1}};
  constexpr float kEps[] = {1e-6f, 0, 1e-5f};
  const int* heads = kHeads[(number + i) % 3];
  return {.spec = spec,
          .tokens = 5,
          .heads_q = heads[0],
          .heads_k = heads[1],
          .strides = static_cast<Strides>(i % 4),
          .in_place = i / 4 == 0,
          .data = (number + i / 2) % 2 == 0 ? Data::special : Data::normal,
          .position_offset = i % 3 == 0 ? 0 : static_cast<std::int64_t>(3 * i),
          .joint_table = i % 2 == 0,
          .table_gap = i % 3 == 1 ? 16 : 0,
          .eps = kEps[(number / 3 + i) % 3],
          .seed = number * kCycle + i};
}

void check_against_cpu(const std::string& what, const Problem& before, const Problem& after) {
  Problem expected = before;
  test::run_on_host(expected);
  CHECK(test::first_difference(what, expected, after) == "");
  CHECK(test::first_stray_write(before, after) == "");
}

void check_fused(const FusedKernel& kernel, std::size_t number) {
  for (std::size_t i = 0; i < kCycle; ++i) {
    ProblemConfig config = config_of_cycle(kernel.spec, number, i);
    const int heads = config.heads_q + config.heads_k;
    config.tokens = 3 * kernel.rows_per_block() / 2 / heads + 2;
    const Problem before(config);
    Problem after = before;
    const Operation operation = checked(after.args());
    CHECK(operation.aligned);
    const bool fits = kernel.variant.staging == Staging::registers || operation.takes_bulk;
    if (!fits) continue;
    kernel.run(fused_launch(operation, kernel.variant));
    check_against_cpu("fused, " + to_text(kernel.variant), before, after);
  }
}

}  // namespace qkjit::simt
