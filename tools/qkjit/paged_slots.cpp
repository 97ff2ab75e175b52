#include "tools/qkjit/paged_slots.hpp"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <random>

namespace qkjit {

std::vector<std::byte> paged_slots(std::int64_t tokens, Slots type) {
  std::vector<std::int64_t> blocks(static_cast<std::size_t>(paged_blocks(tokens)));
  std::iota(blocks.begin(), blocks.end(), std::int64_t{0});
  std::ranges::shuffle(blocks, std::mt19937_64(1));
  const std::size_t size = type == Slots::int64 ? 8 : 4;  // the low bytes come first
  std::vector<std::byte> bytes(static_cast<std::size_t>(tokens) * size);
  for (std::int64_t token = 0; token < tokens; ++token) {
    const std::int64_t block = blocks[static_cast<std::size_t>(token / kPagedBlockSize)];
    const std::int64_t slot = block * kPagedBlockSize + token % kPagedBlockSize;
    std::memcpy(bytes.data() + static_cast<std::size_t>(token) * size, &slot, size);
  }
  return bytes;
}

}  // namespace qkjit
