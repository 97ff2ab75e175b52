// When an element counts as right, and how many must be so to the last bit.
#pragma once

#include <cstdint>

#include "kernels/spec.cuh"
#include "tools/oracle/oracle.hpp"

namespace qkjit::oracle {

enum class Verdict { exact, within, wrong };

/// How far `actual` is from the exact result, in ulps of the dtype at the pair's magnitude.
double error_in_ulps(DType dtype, const Element& element, double actual);

/// By how much a result may be off that goes on to another format: in rounding=fused, and of fp32,
/// before it is rounded to the dtype.
double tolerance(const Spec& spec, const Element& element);

Verdict judge(const Spec& spec, const Element& element, double actual);

/// How many of `elements` may be within and not exact: 0.1 %, five times what correct results have
/// in fp16 and thirty times what they have in bf16; and a few more, for small calls.
std::uint64_t most_within(std::uint64_t elements);

}  // namespace qkjit::oracle
