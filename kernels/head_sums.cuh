// What kernels share whose warps in a team have all heads of a token's tensor: which that is, and
// the sum of its squares over the heads, whose sums the warps show each other.
#pragma once

#include "butterfly.cuh"
#include "outputs.cuh"

namespace qkjit {

/// Teams, such as blocks, go through the tensors of a token after another: q, k, and v if it is
/// copied.
struct TensorOfTeam {
  unsigned token;
  Tensor tensor;

  static QKJIT_DEVICE TensorOfTeam of(const Spec& spec, unsigned number) {
    const unsigned tensors = tensors_of(spec);
    return {number / tensors, static_cast<Tensor>(number % tensors)};
  }
};

/// The partial sums of arithmetic.cuh, in a warp: lane l has number l. Every warp that wants the
/// total adds up all heads.
class PartialSums {
 public:
  /// Adds heads [first, end), the next ones, whose sums lie in `sums` from the first on.
  QKJIT_DEVICE void add(const float* sums, unsigned first, unsigned end) {
    const unsigned lane = threadIdx.x % kPartialSums;
    const unsigned own = (lane - first) % kPartialSums;  // of the first head that is the lane's
#pragma unroll 1
    for (unsigned i = own; i < end - first; i += kPartialSums) own_ = add_rn(own_, sums[i]);
  }

  /// All heads, in every lane; the whole warp calls it.
  QKJIT_DEVICE float total() const {
    float sums[1] = {own_};
    add_even_lanes(kPartialSums, sums);
    return sums[0];
  }

 private:
  float own_ = 0;
};

}  // namespace qkjit
