// Rows that are only copied, in host memory.
#pragma once

#include "kernels/params.cuh"
#include "kernels/spec.cuh"

namespace qkjit {

/// V of `sequences` sequences, bit by bit; nothing if it has no heads.
void copy_on_cpu(const Spec& spec, const ValueRows& v, unsigned sequences);

}  // namespace qkjit
