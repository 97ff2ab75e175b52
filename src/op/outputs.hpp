// Outputs of another kind than rows of the dtype in tensors shaped as their inputs: FP8 with its
// scales, and a paged cache.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "kernels/params.cuh"
#include "op/batches.hpp"
#include "op/extent.hpp"
#include "op/tensor.hpp"

namespace qkjit {

struct Operation;

/// What belongs to the output of q, of k or of V, with the names for messages.
struct OutputArguments {
  std::string_view in_name, out_name, scale_name, cache_name;
  const qkjit_tensor &out, &scale, &cache;
  bool is_fp8, is_paged;
};
OutputArguments output_of_q(const qkjit_args& args, const Spec& spec);
OutputArguments output_of_k(const qkjit_args& args, const Spec& spec);
OutputArguments output_of_v(const qkjit_args& args, const Spec& spec);

/// Where the rows of `in` go: to a tensor of that shape, or to a cache, of which blocks stand for
/// sequences and slots for tokens. Without either, `in` itself, in place.
Result<HeadView> check_output(const OutputArguments& arguments, const Spec& spec,
                              const HeadView& in);

/// The FP8 scales of an output; of nothing without FP8.
struct ScaleView {
  std::string_view name = {};
  void* data = nullptr;
  Extent extent = {};  ///< rows of one scale; given ones have one token for all
  bool is_written = false;
};
Result<ScaleView> check_scales(const OutputArguments& arguments, const Spec& spec,
                               const HeadView& in);

/// Whether all sequences can go by the scales of one.
bool folds(const ScaleView& scales);
/// The same in one sequence, if folds().
ScaleView folded(ScaleView scales);
Scales to_scales(const ScaleView& scales);

/// The slots of a paged cache; of nothing without one, and without k.
struct SlotView {
  const void* data = nullptr;
  Extent extent = {};
  std::int64_t blocks = 0, block_size = 0;
};
/// `v` is absent without V.
Result<SlotView> check_slots(const qkjit_args& args, const Spec& spec, const HeadViews& k,
                             const HeadViews& v);

/// Every slot must be one of the cache's, or negative; for host memory, where slots can be read.
Result<void> check_slots(const Operation& op);

}  // namespace qkjit
