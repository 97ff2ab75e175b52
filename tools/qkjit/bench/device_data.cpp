#include "tools/qkjit/bench/device_data.hpp"

#include <algorithm>
#include <cstring>
#include <random>

#include "kernels/dtype.cuh"

namespace qkjit::bench {
namespace {

template <class T>
std::vector<std::byte> bytes_as(const std::vector<std::int64_t>& values) {
  const std::vector<T> typed(values.begin(), values.end());
  std::vector<std::byte> bytes(typed.size() * sizeof(T));
  std::memcpy(bytes.data(), typed.data(), bytes.size());
  return bytes;
}

}  // namespace

std::vector<std::byte> random_pattern(std::size_t bytes) {
  std::vector<std::uint16_t> values(bytes / sizeof(std::uint16_t));
  std::mt19937_64 random(1);
  for (std::uint16_t& value : values) {
    // The sum of four uniform numbers is close to normal; theirs has a deviation of 37837.
    const std::uint64_t bits = random();
    const auto part = [&](int i) { return static_cast<float>(bits >> (16 * i) & 0xffff); };
    const float sum = part(0) + part(1) + part(2) + part(3);
    value = Format<DType::bf16>::store((sum - 131070.0f) / 37837.0f);
  }
  std::vector<std::byte> pattern(values.size() * sizeof(std::uint16_t));
  std::memcpy(pattern.data(), values.data(), pattern.size());
  return pattern;
}

PositionData positions_of(const Case& wanted) {
  if (wanted.spec.rope_dim == 0) return {};
  if (wanted.spec.positions == Positions::implicit) return {{}, wanted.tokens};
  const std::int64_t axes = has_sections(wanted.spec) ? 3 : 1;
  std::vector<std::int64_t> values(static_cast<std::size_t>(axes * wanted.tokens));
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<std::int64_t>(i) % wanted.tokens;
  }
  std::int64_t distinct = wanted.tokens;
  if (wanted.random_positions) {
    std::mt19937_64 random(1);
    for (std::int64_t& value : values) {
      value = static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(wanted.table_rows));
    }
    std::vector<std::int64_t> sorted = values;
    std::ranges::sort(sorted);
    distinct = std::unique(sorted.begin(), sorted.end()) - sorted.begin();
  }
  const bool wide = wanted.spec.positions == Positions::int64;
  return {wide ? bytes_as<std::int64_t>(values) : bytes_as<std::int32_t>(values), distinct};
}

}  // namespace qkjit::bench
