// Captured tensors as a workload, and results as a file of tensors.
#pragma once

#include <string>

#include "tools/qkjit/workload.hpp"

namespace qkjit {

/// q [tokens, heads_q, head_dim], k, what the spec's norm has of q_weight, k_weight, q_bias and
/// k_bias [head_dim] (of norm_scope=token [heads * head_dim]), cos_sin_cache or cos and sin as the
/// spec describes them, and optional positions of a .safetensors file, [tokens], or [3, tokens] for
/// a spec with sections. Whether positions are I32, I64 or absent, which means row numbers, is the
/// file's to say. The error names a tensor that is missing or does not fit the spec.
Result<Workload> tensor_workload(const std::string& file, const Spec& spec, float eps);

/// Writes q and k with their shapes and dtype.
Result<void> write_tensors(const std::string& file, const Workload& work);

}  // namespace qkjit
