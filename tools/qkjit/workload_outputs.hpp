// Where the results of a workload go that do not replace their input.
#pragma once

#include "tools/qkjit/workload.hpp"

namespace qkjit {

/// Gives a call that has its inputs the outputs that its spec asks for, all in one block: V, FP8
/// with scales (given ones are powers of two), a paged cache with slots.
void add_outputs(const Spec& spec, Workload& work);

}  // namespace qkjit
