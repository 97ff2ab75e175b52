// What a kernel is compiled for: one spec, or those of two streams that share a grid.
#pragma once

#include <optional>
#include <string>

#include "kernels/variant.cuh"
#include "spec/text.hpp"

namespace qkjit {

struct Streams {
  Spec first;
  std::optional<Spec> second = {};

  Streams(const Spec& one) : first(one) {}  // NOLINT: a spec is a stream by itself
  Streams(const Spec& one, const Spec& other) : first(one), second(other) {}

  bool are_alike() const { return !second || *second == first; }
};

/// Of the same threads and the same `pdl`.
struct Variants {
  Variant first;
  Variant second;  ///< read if there is a second stream

  Variants(const Variant& both) : first(both), second(both) {}  // NOLINT: of one stream too
  Variants(const Variant& one, const Variant& other) : first(one), second(other) {}
};

/// For messages: the canonical text of the spec, or of both.
inline std::string to_text(const Streams& streams) {
  const std::string first = to_text(streams.first);
  return streams.second ? first + " beside " + to_text(*streams.second) : first;
}

}  // namespace qkjit
