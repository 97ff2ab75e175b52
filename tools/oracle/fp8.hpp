// The judge of FP8 e4m3 outputs and of paged caches. Shares nothing with the kernels' conversions:
// e4m3 is a list of 256 numbers here, made from its definition.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "qkjit/qkjit.h"
#include "tools/oracle/criterion.hpp"

namespace qkjit::oracle {

/// The number that eight bits stand for.
double decode_e4m3(unsigned bits);

/// The nearest of them, of two the one whose bits are even; beyond the largest, 448.
double rounded_e4m3(double x);

/// What goes to FP8, and by how much it may be off.
struct Value {
  double value, tolerance;
  bool judged;
};
Value value_for_fp8(const Spec& spec, const Element& element);
/// Of V, which nothing is computed of.
Value exact_value(double x);

/// Whether `scale` is the one that a row's values ask for; or one that a larger row may ask for.
bool is_scale_of(std::span<const Value> row, double scale);
bool is_scale_beyond(std::span<const Value> row, double scale);

Verdict judge_fp8(const Value& value, double scale, unsigned actual);
/// How far it is off, in ulps of e4m3.
double off_in_ulps(const Value& value, double scale, unsigned actual);

/// The scale that a call was given, or wrote, for a head; `t` is q_scale, k_scale or v_scale.
double scale_at(const qkjit_tensor& t, OutScale whose, std::int64_t batch, std::int64_t token,
                std::int64_t head);

/// Where a result goes.
struct Output {
  const qkjit_tensor& out;
  const qkjit_tensor& scale;
  bool is_fp8, is_paged;
  std::int64_t heads;
};

/// The first element of a head's result; none if its token has no slot.
std::optional<std::int64_t> row_of(const qkjit_args& args, const Output& output, std::int64_t batch,
                                   std::int64_t token, std::int64_t head);

}  // namespace qkjit::oracle
