// Enumerations that a C program filled in, with whatever number.
#pragma once

#include <cstring>

namespace qkjit {

/// The number in it. C++ may not look at an enumeration that is out of range.
template <class C>
int number_in(const C& value) {
  int number;
  static_assert(sizeof(number) == sizeof(value));
  std::memcpy(&number, &value, sizeof(number));
  return number;
}

}  // namespace qkjit
