// A spec as a translation unit: one include and one instantiation.
#pragma once

#include <string>

#include "kernels/spec.cuh"

namespace qkjit {

struct Source {
  std::string entry;  ///< the kernel's name, which reads as the spec
  std::string file;   ///< a virtual absolute name, so that no directory enters the cubin
  std::string text;
};

Source fused_source(const Spec& spec, const Variant& variant);

/// "lanes=16,threads=128".
std::string to_text(const Variant& variant);

}  // namespace qkjit
