// Rows that are not computed, in host memory.
#pragma once

#include "cpu/store.hpp"

namespace qkjit {

/// V of `sequences` sequences, bit by bit or to FP8.
void copy_on_cpu(const Spec& spec, unsigned sequences, const CpuOutputs& outputs);

}  // namespace qkjit
