// Calls with one thing changed, and what the checks say of them.
#pragma once

#include <initializer_list>
#include <string_view>

#include "op/check.hpp"
#include "tests/unit/fake_args.hpp"
#include "tests/unit/mentions.hpp"

namespace qkjit {

template <class Spoil>
qkjit_args with(Spoil&& spoil) {
  qkjit_args args = fake_args();
  spoil(args);
  return args;
}

template <class Spoil>
bool refuses(std::initializer_list<std::string_view> words, Spoil&& spoil) {
  return fails(check_args(with(spoil)), Code::invalid_argument, words);
}

template <class Spoil>
bool accepts(Spoil&& spoil) {
  const auto op = check_args(with(spoil));
  if (!op) UNSCOPED_INFO(op.error().message);
  return op.has_value();
}

/// cos and sin in place of cos_sin_cache, `width` values a row each.
inline void take_apart(qkjit_args& a, std::int64_t width = 32) {
  a.cos_sin_cache = QKJIT_TENSOR_INIT;
  a.cos = qkjit_tensor_2d(address(0x700000), QKJIT_FP32, 10, width);
  a.sin = qkjit_tensor_2d(address(0x780000), QKJIT_FP32, 10, width);
}

/// Positions of three axes, [3, 4].
inline void take_sections(qkjit_args& a) {
  a.spec.sections[0] = 12, a.spec.sections[1] = a.spec.sections[2] = 10;
  a.positions = qkjit_tensor_2d(address(0x800000), QKJIT_INT64, 3, 4);
}

}  // namespace qkjit
