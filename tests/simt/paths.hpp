// The project's kernels as functions on host memory, run by the shim.
#pragma once

#include "tests/simt/simt.hpp"
// The shim comes before the kernels.
#include "kernels/fused_across.cuh"
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

template <Spec kSpec, Variant kVariant = default_variant(kSpec)>
FusedKernel fused_kernel() {
  return {kSpec, kVariant, [](const FusedLaunch& call) {
            launch(call.grid.blocks, call.grid.threads, [&] {
              if constexpr (norms_across_heads(kSpec)) {
                fused_across<kSpec, kVariant>(call.params);
              } else {
                fused<kSpec, kVariant>(call.params, blockIdx.x);
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
