// A file that is part of the binary.
#pragma once

#include <span>
#include <string_view>

namespace qkjit {

struct EmbeddedFile {
  std::string_view name;
  std::string_view text;
  std::string_view sha256 = {};  ///< of the text, as 64 hexadecimal digits; empty if made by hand
};

// Defined by generated sources (cmake/Embed*.cmake) in the targets that embed them.
std::span<const EmbeddedFile> embedded_kernels();  ///< kernels/*.cuh
std::span<const EmbeddedFile> embedded_ptx();     ///< the generic kernels, packed (util/packed.hpp)
std::span<const EmbeddedFile> embedded_models();  ///< models/*.json

}  // namespace qkjit
