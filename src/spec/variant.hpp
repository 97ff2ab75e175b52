// A variant as text, and what a spec and a target allow.
#pragma once

#include <string>
#include <string_view>

#include "kernels/variant.cuh"
#include "util/error.hpp"

namespace qkjit {

/// "lanes=16,rows=2,threads=128,pdl=yes": the fields that are not defaults.
std::string to_text(const Variant& variant);

/// Strict, as parse_spec().
Result<Variant> parse_variant(std::string_view text);

/// Code::invalid_argument with the reason if the kernel cannot be made in this variant; the spec is
/// one that supports() calls fused.
Result<void> check_variant(const Spec& spec, const Variant& variant, std::string_view target);

/// "sm_90a" -> 90; 0 if it is no such name.
int compute_capability(std::string_view target);

/// Code::invalid_argument for "compute_90", of which NVRTC makes PTX and no kernel.
Result<void> check_names_gpu(std::string_view target);

/// Bulk copies and dependent launches need sm_90.
inline constexpr int kFirstWithBulk = 90;

}  // namespace qkjit
