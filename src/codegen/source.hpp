// A spec as a translation unit: one include and one instantiation.
#pragma once

#include <string>

#include "kernels/variant.cuh"

namespace qkjit {

struct Source {
  std::string entry;  ///< the kernel's name, which reads as the spec
  std::string file;   ///< a virtual absolute name, so that no directory enters the cubin
  std::string text;
};

Source fused_source(const Spec& spec, const Variant& variant);

/// The generic kernel for a dtype, with room for rows of up to 32 * slots chunks.
Source generic_source(DType dtype, int slots);
std::string generic_entry(DType dtype, int slots);
/// What its PTX is called. It exists for these compute capabilities and newer ones; from 8.0 on
/// GPUs round to bf16 by themselves.
inline constexpr int kGenericCapabilities[] = {75, 80};
std::string generic_file(DType dtype, int slots, int capability);

}  // namespace qkjit
