// Which path serves a spec, decided without GPU or compiler.
#pragma once

#include <string>
#include <string_view>

#include "kernels/spec.cuh"
#include "spec/path.hpp"
#include "util/error.hpp"

namespace qkjit {

inline constexpr int kMaxHeadDim = 1024;
inline constexpr int kMaxFusedHeadDim = 512;

struct Support {
  Dispatch dispatch;  ///< fused, or generic with Reason::shape
  std::string text;   ///< empty for fused; else a sentence with the nearest shape that is
};

/// Code::invalid_argument names an enumerator that is out of range.
Result<void> check_enumerators(const Spec& spec);

/// Code::invalid_argument for what no model can mean (odd rope_dim, rope_dim above head_dim, an
/// enumerator out of range), Code::unsupported beyond the library's limits; each names the nearest
/// spec that works.
Result<Support> supports(const Spec& spec);

/// What of a spec, as text, keeps its kernels from a grid that two streams share; empty if nothing
/// does.
std::string_view field_against_dual(const Spec& spec);

/// As supports(), and Code::unsupported for a spec that only the generic kernel serves.
Result<void> require_fused(const Spec& spec);

}  // namespace qkjit
