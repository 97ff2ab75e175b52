// Where a case's tensors lie in one pool of device memory: the sets of q and k over which launches
// rotate, then the table, the positions and the weights that all sets share, as in a model.
#pragma once

#include <cstddef>

#include "qkjit/qkjit.h"
#include "tools/qkjit/bench/cases.hpp"
#include "tools/qkjit/bench/contender_params.cuh"

namespace qkjit::bench {

/// In bytes from the start of the pool; q and k from the start of their set.
struct Placement {
  std::size_t sets, set_bytes;
  std::size_t q, k, table, positions, q_weight, k_weight, q_bias, k_bias, end;
  /// See outputs.hpp. V and outputs from the start of their set; in place if there is no other.
  std::size_t v, q_out, k_out, v_out, q_scale, k_scale, v_scale, slots;
};

/// To the next boundary that an allocator would give.
std::size_t aligned(std::size_t bytes);

/// As many sets as together touch `rotated_bytes` of q and k, from 2 to `most_sets`; one set if
/// rotated_bytes is 0. Code::unsupported for rows that the copy's 16-byte vectors do not divide.
Result<Placement> place(const Case& wanted, std::size_t rotated_bytes, std::size_t most_sets);

/// The call on one set: in place, as `spec`, with the tensors that this takes.
qkjit_args args_of(const Case& wanted, const Placement& placement, const qkjit_spec& spec,
                   std::byte* pool, std::size_t set);

/// The copy of the same bytes.
CopyParams copy_of(const Case& wanted, const Placement& placement, std::byte* pool,
                   std::size_t set);

/// Bytes of q and k, once.
std::size_t qk_bytes(const Case& wanted);

}  // namespace qkjit::bench
