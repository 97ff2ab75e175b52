#include "tuning/choice.hpp"

#include <algorithm>

#include "spec/text.hpp"
#include "spec/variant.hpp"

namespace qkjit {

Result<void> check_choices(const Spec& spec, const Choices& choices, std::string_view target) {
  for (const Choice& choice : choices) {
    if (auto checked = check_variant(spec, choice.variant, target); !checked) return checked;
  }
  const bool rises = std::ranges::adjacent_find(choices, std::ranges::greater_equal{},
                                                &Choice::from_bytes) == choices.end();
  if (choices.empty() || !rises || choices.front().from_bytes != 0 ||
      choices.front().variant.staging != Staging::registers) {
    return fail(Code::invalid_argument,
                "the variants of {} must begin at 0 bytes with one of staging=registers, and rise",
                to_text(spec));
  }
  return {};
}

}  // namespace qkjit
