// The project's kernels as functions on host memory, run by the shim.
#pragma once

#include <cstring>

#include "tests/simt/simt.hpp"
// The shim comes before the kernels.
#include "kernels/fused.cuh"
#include "kernels/fused_by_token.cuh"
#include "op/geometry.hpp"
#include "spec/variant.hpp"
#include "tests/support/problem.hpp"
#include "tuning/default_variant.hpp"

namespace qkjit::simt {

/// One instantiation of the fused kernel.
struct FusedKernel {
  Spec spec;
  Variant variant;
  void (*run)(const FusedLaunch& launch);

  int rows_per_block() const { return variant.threads / variant.lanes * variant.rows; }
};

/// The kernel's second argument, which is as long as its spec needs; null with a table.
template <Spec kSpec>
const FrequenciesOf<kSpec>* as_passed(const FusedLaunch& call) {
  static FrequenciesOf<kSpec> passed;
  if (!call.frequencies) return nullptr;
  std::memcpy(&passed, call.frequencies.get(), sizeof(passed));
  return &passed;
}

template <Spec kSpec, Variant kVariant = default_variant(kSpec)>
FusedKernel fused_kernel() {
  return {kSpec, kVariant, [](const FusedLaunch& call) {
            launch(call.grid.blocks, call.grid.threads, [&] {
              if constexpr (runs_by_token(kSpec)) {
                fused_by_token<kSpec, kVariant>(call.params, as_passed<kSpec>(call));
              } else {
                fused<kSpec, kVariant>(call.params, blockIdx.x, as_passed<kSpec>(call));
              }
            });
          }};
}

/// The call, checked as the library checks it. Throws std::runtime_error if it is refused.
Operation checked(const qkjit_args& args);

void run_generic(const Operation& operation);

/// Runs the kernel and the CPU path on several problems, which `number` varies, and compares every
/// byte. The problems fill more than one block and leave the last one partly empty.
void check_fused(const FusedKernel& kernel, std::size_t number);

/// Problem `i` of the kCycle for a spec: all strides in place and out of place, and beside them the
/// head counts, data, offsets, cuts of the table and eps take turns.
constexpr std::size_t kCycle = 8;
test::ProblemConfig config_of_cycle(const Spec& spec, std::size_t number, std::size_t i);

/// Compares `after` with what the CPU path makes of `before`, and looks for stray writes.
void check_against_cpu(const std::string& what, const test::Problem& before,
                       const test::Problem& after);

}  // namespace qkjit::simt
