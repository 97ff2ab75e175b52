// Which variants serve a spec, by how much memory a call touches.
#pragma once

#include <cstdint>
#include <functional>
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

/// The last item whose choice (`choice_of` it) is for at most `bytes` and can serve the call: bulk
/// copies need heads without gaps.
template <class Item, class ChoiceOf = std::identity>
const Item& choose(const std::vector<Item>& items, std::uint64_t bytes, bool without_gaps,
                   ChoiceOf choice_of = {}) {
  const Item* best = &items.front();
  for (const Item& item : items) {
    const Choice& choice = std::invoke(choice_of, item);
    const bool fits = without_gaps || choice.variant.staging == Staging::registers;
    if (fits && choice.from_bytes <= bytes) best = &item;
  }
  return *best;
}

/// Code::invalid_argument if they are not as stated above, or a variant is not for the spec and
/// target.
Result<void> check_choices(const Spec& spec, const Choices& choices, std::string_view target);

}  // namespace qkjit
