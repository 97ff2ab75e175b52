// Text made small by zstd.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "util/error.hpp"

namespace qkjit {

/// A zstd frame that says its content's size; the same text gives the same bytes with one version
/// of zstd.
std::string pack(std::string_view text);

/// Code::cache_io if `packed` is no such frame, or is of more than `limit` bytes.
Result<std::string> unpack(std::string_view packed, std::size_t limit);

}  // namespace qkjit
