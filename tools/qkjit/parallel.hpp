// Independent pieces of work on several threads.
#pragma once

#include <cstddef>
#include <functional>

namespace qkjit {

/// Calls work(0) to work(count - 1), each once, on up to `threads` threads, of which the caller's
/// is one. 0: one for each core up to 8, where NVRTC stops to gain. `work` must not throw.
void for_each_index(std::size_t count, const std::function<void(std::size_t)>& work,
                    int threads = 0);

}  // namespace qkjit
