// A spec as a translation unit: one include and one instantiation.
#pragma once

#include <string>

#include "kernels/generic_params.cuh"
#include "spec/streams.hpp"

namespace qkjit {

struct Source {
  std::string entry;  ///< the kernel's name, which reads as the spec
  std::string file;   ///< a virtual absolute name, so that no directory enters the cubin
  std::string text;
};

Source fused_source(const Spec& spec, const Variant& variant);
/// The same of one stream; of two, a kernel of both.
Source fused_source(const Streams& streams, const Variants& variants);

/// Their entry, without the text.
std::string fused_entry(const Streams& streams);

/// A generic kernel, with room for rows of up to 32 * slots chunks.
Source generic_source(const GenericKind& kind);
std::string generic_entry(const GenericKind& kind);
/// What its PTX is called, packed (util/packed.hpp). It exists for these compute capabilities and
/// newer ones; from 8.0 on GPUs round to bf16 by themselves.
inline constexpr int kGenericCapabilities[] = {75, 80};
std::string generic_file(const GenericKind& kind, int capability);

}  // namespace qkjit
