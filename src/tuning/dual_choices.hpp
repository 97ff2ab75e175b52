// Which variants two streams take in one kernel: the first as if it were alone, the second to suit.
#pragma once

#include "spec/streams.hpp"
#include "tuning/choice.hpp"
#include "tuning/default_variant.hpp"

namespace qkjit {

/// Streams of one spec take one variant, and share their code. Another second one takes what its
/// shape says, in blocks of the first's threads.
constexpr Variant variant_beside(const Spec& first, const Variant& of_first, const Spec& second) {
  if (second == first) return of_first;
  Variant variant = default_variant(second);
  variant.threads = of_first.threads, variant.pdl = of_first.pdl;
  return variant;
}

inline Variants variants_of(const Streams& streams, const Variant& first) {
  if (!streams.second) return first;
  return {first, variant_beside(streams.first, first, *streams.second)};
}

/// The first stream's choices. Beside another spec's code they leave out bulk copies: the shared
/// memory of both would add up.
inline Choices choices_of(const Streams& streams, const Choices& of_first) {
  if (streams.are_alike()) return of_first;
  Choices choices;
  for (const Choice& choice : of_first) {
    if (choice.variant.staging == Staging::registers) choices.push_back(choice);
  }
  return choices;
}

}  // namespace qkjit
