// The one way in which things fail inside the library.
#pragma once

#include <fmt/format.h>

#include <string>
#include <tl/expected.hpp>
#include <utility>

namespace qkjit {

/// Same values as qkjit_status, never renumbered.
enum class Code {
  ok = 0,
  unsupported = 1,
  invalid_argument = 2,
  not_ready = 3,
  compile_failed = 4,
  cache_io = 5,
  cuda_error = 6,
  internal = 7,
};

/// `message` says what was given, what is needed and what to do.
struct Error {
  Code code;
  std::string message;
};

// std::expected is C++23; tl::expected is its well-kept stand-in.
template <class T>
using Result = tl::expected<T, Error>;

template <class... Args>
tl::unexpected<Error> fail(Code code, fmt::format_string<Args...> format, Args&&... args) {
  return tl::unexpected<Error>({code, fmt::format(format, std::forward<Args>(args)...)});
}

}  // namespace qkjit
