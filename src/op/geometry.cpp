#include "op/geometry.hpp"

#include <algorithm>

#include "util/float_environment.hpp"

namespace qkjit {
namespace {

static_assert(kMaxHeadDim == kGenericMaxHeadDim && kMaxRopeByElement == kGenericMaxByElement);

unsigned ceil_div(unsigned a, unsigned b) { return (a + b - 1) / b; }

int padded_chunks(const Spec& spec) {
  return next_power_of_two(qkjit::ceil_div(spec.head_dim, kChunk));
}

Slices slices_of(const Operation& op, unsigned rows_per_slice) {
  const unsigned of_q = ceil_div(op.params.q.heads, rows_per_slice);
  const unsigned per_token = of_q + ceil_div(op.params.k.heads, rows_per_slice);
  return {static_cast<unsigned>(op.tokens) * per_token, of_q, per_token, Divisor::of(per_token)};
}

}  // namespace

FusedLaunch fused_launch(const Operation& op, const Variant& v) {
  const Slices slices = slices_of(op, static_cast<unsigned>(32 / v.lanes * v.rows));
  const auto warps = static_cast<unsigned>(v.threads / 32);
  const unsigned blocks =
      v.span == Span::slice ? ceil_div(slices.count, warps) : static_cast<unsigned>(op.tokens);
  return {{op.params, slices}, {blocks, static_cast<unsigned>(v.threads), v.pdl}};
}

int generic_slots(const Spec& spec) {
  return padded_chunks(spec) <= 32 * kGenericFewSlots ? kGenericFewSlots : kGenericManySlots;
}

GenericLaunch generic_launch(const Operation& op) {
  const FloatEnvironment ieee;  // the host may round otherwise
  const int lanes = std::min(32, padded_chunks(op.spec));
  const int rows_per_slice = 32 / lanes * generic_rows(generic_slots(op.spec));
  const Slices slices = slices_of(op, static_cast<unsigned>(rows_per_slice));
  const GenericParams params{.common = op.params,
                             .slices = slices,
                             .spec = op.spec,
                             .inv_head_dim = 1.0f / static_cast<float>(op.spec.head_dim),
                             .lanes = lanes,
                             .wide_rows = op.aligned_rows};
  return {params, {ceil_div(slices.count, kGenericThreads / 32u), kGenericThreads}};
}

}  // namespace qkjit
