// The frequencies of computed angles, from what a caller says of them.
#pragma once

#include <memory>

#include "kernels/frequencies.cuh"
#include "qkjit/qkjit.h"
#include "util/error.hpp"

namespace qkjit {

/// Those of rope_dim/2 angles: angle i turns by base^(-2i/rope_dim) radians from a position to the
/// next, changed as `from` says, to the nearest 2^-64 of a turn: the same on every machine. The
/// thread keeps its last few, so that equal calls share them; sharing needs no lock.
/// Code::invalid_argument for numbers that make no frequencies.
Result<std::shared_ptr<const AllFrequencies>> frequencies_of(const qkjit_frequencies& from,
                                                             int rope_dim);

}  // namespace qkjit
