// V, FP8 outputs with their scales, and a paged cache of a case: where they lie, and what of a call
// they are.
#pragma once

#include <vector>

#include "tools/qkjit/bench/placement.hpp"

namespace qkjit::bench {

/// Gives them room: V and outputs behind q and k in every set, scales and slots behind all that
/// sets share.
void place_in_set(const Case& wanted, Placement& placement);
void place_shared(const Case& wanted, Placement& placement);

/// The tensors that a call as `own` has, which may be one of the two that a fused one replaces.
void add_outputs(const Case& wanted, const Placement& placement, const Spec& own, std::byte* pool,
                 std::byte* set, qkjit_args& args);

/// Bytes of what is read and written once beside q, k and what they are rotated and weighted by;
/// less than none where outputs are smaller than what they are made of.
double bytes_beyond_copy(const Case& wanted);

/// paged_slots(), where there is a cache.
std::vector<std::byte> slots_of(const Case& wanted);

}  // namespace qkjit::bench
