#include "op/geometry.hpp"

#include <algorithm>

#include "util/float_environment.hpp"

namespace qkjit {
namespace {

unsigned ceil_div(unsigned a, unsigned b) { return (a + b - 1) / b; }

int padded_chunks(const Spec& spec) {
  return next_power_of_two(qkjit::ceil_div(spec.head_dim, kChunk));
}

}  // namespace

FusedLaunch fused_launch(const Operation& op, const Variant& v) {
  const Params& p = op.params;
  const auto rows_per_slice = static_cast<unsigned>(32 / v.lanes * v.rows);
  const unsigned of_q = ceil_div(p.q.heads, rows_per_slice);
  const unsigned per_token = of_q + ceil_div(p.k.heads, rows_per_slice);
  const auto tokens = static_cast<unsigned>(op.tokens);
  const auto warps = static_cast<unsigned>(v.threads / 32);
  const unsigned count = tokens * per_token;
  const unsigned blocks = v.span == Span::slice ? ceil_div(count, warps) : tokens;
  return {{p, {count, of_q, per_token, Divisor::of(per_token)}},
          {blocks, static_cast<unsigned>(v.threads), v.pdl}};
}

int generic_slots(const Spec& spec) {
  return padded_chunks(spec) <= 32 * kGenericFewSlots ? kGenericFewSlots : kGenericManySlots;
}

GenericLaunch generic_launch(const Operation& op) {
  const FloatEnvironment ieee;  // the host may round otherwise
  const Params& p = op.params;
  const int lanes = std::min(32, padded_chunks(op.spec));
  const bool wide_rows = op.aligned_rows;
  const bool wide_table = reinterpret_cast<std::uintptr_t>(p.cos_sin_cache) % 16 == 0;
  const GenericParams params{p,
                             op.spec,
                             1.0f / static_cast<float>(op.spec.head_dim),
                             Divisor::of(p.q.heads + p.k.heads),
                             lanes,
                             wide_rows,
                             wide_table};
  const auto rows_per_block = static_cast<unsigned>(kGenericThreads / lanes);
  return {params, {ceil_div(p.row_count, rows_per_block), kGenericThreads, false}};
}

}  // namespace qkjit
