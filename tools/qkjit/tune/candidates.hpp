// Which variants are worth measuring.
#pragma once

#include <string_view>
#include <vector>

#include "kernels/variant.cuh"

namespace qkjit::tune {

/// Lanes, rows in flight, threads and staging in all combinations that the spec and target allow
/// and that keep 2 to 16 KiB of rows in a block, across heads 8 KiB and more. For specs with a fused
/// kernel.
std::vector<Variant> broad_candidates(const Spec& spec, std::string_view target);

/// `best` with every other knob turned, one at a time, where that changes the kernel.
std::vector<Variant> neighbours(const Spec& spec, const Variant& best, std::string_view target);

}  // namespace qkjit::tune
