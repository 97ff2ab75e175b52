// The operation on host memory: the arithmetic of kernels/arithmetic.cuh, so the bits of the
// kernels.
#pragma once

#include "cpu/store.hpp"
#include "kernels/frequencies.cuh"
#include "kernels/params.cuh"

namespace qkjit {

/// Runs every row, on up to `threads` threads (0: all cores), and returns when all are done. The
/// arguments are checked already (src/op); every pointer is host memory, every position in the
/// table. `batches` are null if they fold; `frequencies` are those of computed angles, null with a
/// table; `outputs` are read if has_other_outputs().
void run_on_cpu(const Spec& spec, const Params& params, const Batches* batches, int threads,
                const AllFrequencies* frequencies = nullptr, const CpuOutputs* outputs = nullptr);

}  // namespace qkjit
