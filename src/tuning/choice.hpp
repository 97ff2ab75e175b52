// Which variants serve a spec, by how much memory a call touches.
#pragma once

#include <cstdint>
#include <functional>
#include <ranges>
#include <string_view>
#include <vector>

#include "kernels/variant.cuh"
#include "util/error.hpp"

namespace qkjit {

struct Choice {
  std::uint64_t from_bytes = 0;  ///< serves calls with at least so many bytes of q, k and v
  Variant variant;

  friend bool operator==(const Choice&, const Choice&) = default;
};

/// By from_bytes, the first from 0 and staged in registers, which serves every call.
using Choices = std::vector<Choice>;

/// Of the usable items whose choice (`choice_of` it) can serve a call, the last that is for at most
/// `bytes`, else the first that is for more; null if there is none. `takes_bulk` as
/// Operation has it.
template <class Items, class ChoiceOf, class Usable>
const std::ranges::range_value_t<Items>* choose(const Items& items, std::uint64_t bytes,
                                                bool takes_bulk, ChoiceOf choice_of,
                                                Usable usable) {
  const std::ranges::range_value_t<Items>* best = nullptr;
  for (const auto& item : items) {
    const Choice& choice = std::invoke(choice_of, item);
    const bool fits = takes_bulk || choice.variant.staging == Staging::registers;
    if (fits && (!best || choice.from_bytes <= bytes) && usable(item)) best = &item;
  }
  return best;
}

/// The one for a call where all can be had.
inline const Choice& choose(const Choices& choices, std::uint64_t bytes, bool takes_bulk) {
  const auto any = [](const Choice&) { return true; };
  return *choose(choices, bytes, takes_bulk, std::identity{}, any);
}

/// Code::invalid_argument if they are not as stated above, or a variant is not for the spec and
/// target.
Result<void> check_choices(const Spec& spec, const Choices& choices, std::string_view target);

}  // namespace qkjit
