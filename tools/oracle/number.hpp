// The oracle's own numbers: bf16, fp16 and fp32 as sets of doubles, from the definition of a binary
// floating-point format. Shares nothing with the kernels' conversions, which it judges.
#pragma once

#include <cstdint>

#include "kernels/spec.cuh"

namespace qkjit::oracle {

/// Distance between neighbouring numbers of the dtype in the binade of |x|; x is finite.
double ulp(DType dtype, double x);

/// The nearest number of the dtype, ties to even, in one rounding; infinity beyond the largest.
double rounded(DType dtype, double x);

/// Element `index` of a dense array of the dtype, exactly.
double load(DType dtype, const void* array, std::int64_t index);

/// Rounds and writes; every NaN becomes the one of NVIDIA's hardware, all bits but the sign set.
void store(DType dtype, double x, void* array, std::int64_t index);

}  // namespace qkjit::oracle
