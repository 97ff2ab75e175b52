// How often a thread has allocated memory.
#pragma once

#include <cstdint>

namespace qkjit::bench {

/// Calls of operator new on this thread since it began.
std::uint64_t allocations_on_this_thread();

}  // namespace qkjit::bench
