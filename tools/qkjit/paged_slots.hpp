// A paged cache as a server fills it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/spec.cuh"

namespace qkjit {

inline constexpr std::int64_t kPagedBlockSize = 16;  ///< tokens, as vLLM has it by default

constexpr std::int64_t paged_blocks(std::int64_t tokens) {
  return (tokens + kPagedBlockSize - 1) / kPagedBlockSize;
}

/// The slots of tokens one after another in blocks from anywhere, the same ones every time.
std::vector<std::byte> paged_slots(std::int64_t tokens, Slots type);

}  // namespace qkjit
