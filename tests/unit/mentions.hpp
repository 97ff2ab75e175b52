// Error messages in tests: which words they must have.
#pragma once

#include <initializer_list>
#include <string_view>

#include "tests/catch.hpp"
#include "util/error.hpp"

/// Whether `message` has every one of `words`; shows the message if a CHECK around it fails.
inline bool mentions(std::string_view message, std::initializer_list<std::string_view> words) {
  for (const std::string_view word : words) {
    if (message.find(word) != std::string_view::npos) continue;
    UNSCOPED_INFO("no '" << word << "' in: " << message);
    return false;
  }
  return true;
}

/// Whether `result` is the error `code` whose message has every one of `words`.
template <class T>
bool fails(const qkjit::Result<T>& result, qkjit::Code code,
           std::initializer_list<std::string_view> words) {
  if (result) {
    UNSCOPED_INFO("no error");
    return false;
  }
  if (result.error().code != code) {
    UNSCOPED_INFO("code " << static_cast<int>(result.error().code) << ": "
                          << result.error().message);
    return false;
  }
  return mentions(result.error().message, words);
}
