// Specs and variants as C++ that a kernel's translation unit begins from.
#pragma once

#include <string>

#include "kernels/spec.cuh"
#include "kernels/variant.cuh"

namespace qkjit {

/// "qkjit::Spec{.head_dim = 128, .rope_dim = 64, .layout = qkjit::Layout::neox, ...}": the first
/// four fields, and of the others those that are not the struct's defaults.
std::string initializer_of(const Spec& spec);

/// Likewise, always with lanes, rows and threads.
std::string initializer_of(const Variant& variant);

}  // namespace qkjit
