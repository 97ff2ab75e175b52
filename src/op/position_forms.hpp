// Arguments of positions that are no array with one for each token: a grid, and segments.
#pragma once

#include <cstdint>

#include "op/rotation.hpp"

namespace qkjit {

/// The grid of a call, whose sequences fill it and whose coordinates all have a place: in the table
/// of `r`, or with computed angles in 63 bits.
Result<PositionGrid> check_grid(const qkjit_args& args, const Spec& spec, const Lengths& lengths,
                                const Rotation& r);

/// Where the segments of a call begin, and what they are offset by; into `r`.
Result<void> check_segments(const qkjit_args& args, const Lengths& lengths, Rotation& r);

/// Refuses arguments of position forms and of bounds that the spec does not have.
Result<void> check_no_others(const qkjit_args& args, const Spec& spec);

/// Where a kernel reports a position outside the table.
Result<ReadOnly> check_position_error(const qkjit_args& args);

}  // namespace qkjit
