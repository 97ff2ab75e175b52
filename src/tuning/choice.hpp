// Which variants serve a spec, by how much memory a call touches.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "kernels/variant.cuh"
#include "util/error.hpp"

namespace qkjit {

struct Choice {
  std::uint64_t from_bytes = 0;  ///< serves calls with at least so many bytes of q and k
  Variant variant;

  friend bool operator==(const Choice&, const Choice&) = default;
};

/// By from_bytes, the first from 0 and staged in registers, which serves every call.
using Choices = std::vector<Choice>;

/// The last choice from at most `bytes` on that can serve the call: bulk copies need heads without
/// gaps. `Item` has a `choice`.
template <class Item>
const Item& choose(const std::vector<Item>& items, std::uint64_t bytes, bool without_gaps) {
  const Item* best = &items.front();
  for (const Item& item : items) {
    const bool fits = without_gaps || item.choice.variant.staging == Staging::registers;
    if (fits && item.choice.from_bytes <= bytes) best = &item;
  }
  return *best;
}

/// Code::invalid_argument if they are not as stated above, or a variant is not for the spec and
/// target.
Result<void> check_choices(const Spec& spec, const Choices& choices, std::string_view target);

}  // namespace qkjit
