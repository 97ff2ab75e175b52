#include "tools/qkjit/bench/placement.hpp"

#include <algorithm>

#include "op/check.hpp"
#include "tools/qkjit/bench/outputs.hpp"
#include "tools/qkjit/workload.hpp"

namespace qkjit::bench {
namespace {

constexpr std::size_t kVectorBytes = 16;
constexpr std::size_t kAlignment = 256;  // of what an allocator would give

/// Bytes of a token's heads, and from one token to the next.
struct RowBytes {
  std::size_t q, k, q_stride, k_stride;
};

RowBytes row_bytes(const Case& wanted) {
  const auto element = static_cast<std::size_t>(size_of(wanted.spec.dtype));
  const std::size_t head = static_cast<std::size_t>(wanted.spec.head_dim) * element;
  const std::size_t q = static_cast<std::size_t>(wanted.heads_q) * head;
  const std::size_t k = static_cast<std::size_t>(wanted.heads_k) * head;
  const std::size_t stride = static_cast<std::size_t>(wanted.view.row_stride) * element;
  return {q, k, stride > 0 ? stride : q, stride > 0 ? stride : k};
}

qkjit_tensor view(void* data, const qkjit_spec& spec, const Case& wanted, int heads) {
  if (heads == 0) return QKJIT_TENSOR_INIT;
  qkjit_tensor tensor =
      qkjit_tensor_3d(data, spec.dtype, wanted.tokens, heads, wanted.spec.head_dim);
  if (wanted.view.row_stride > 0) tensor.strides[0] = wanted.view.row_stride;
  return tensor;
}

/// Heads that have tables of their own, or 1.
int table_heads(const Case& wanted) {
  return has_head_tables(wanted.spec) ? std::max(wanted.heads_q, wanted.heads_k) : 1;
}

/// Values of a row of the table, its cosines and its sines.
std::int64_t table_width(const Case& wanted) {
  const Spec& spec = wanted.spec;
  return std::int64_t{spec.rope_dim} * table_heads(wanted) *
         (spec.table_width == TableWidth::half ? 1 : 2);
}

std::size_t table_bytes(const Case& wanted) {
  if (wanted.spec.angles == Angles::computed) return 0;
  return static_cast<std::size_t>(wanted.table_rows * table_width(wanted) *
                                  size_of(wanted.spec.table));
}

/// Each row has its cosines and then its sines; with heads of their own, those are two tensors.
void add_table(const Case& wanted, std::byte* data, qkjit_args& args) {
  const std::int64_t width = table_width(wanted), heads = table_heads(wanted);
  const qkjit_dtype type = args.spec.table;
  if (!has_head_tables(wanted.spec)) {
    args.cos_sin_cache = qkjit_tensor_2d(data, type, wanted.table_rows, width);
    return;
  }
  args.cos = qkjit_tensor_3d(data, type, wanted.table_rows, heads, width / 2 / heads);
  args.cos.strides[0] = width;
  args.sin = args.cos;
  args.sin.data = data + width / 2 * size_of(wanted.spec.table);
}

}  // namespace

std::size_t aligned(std::size_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

Result<Placement> place(const Case& wanted, std::size_t rotated_bytes, std::size_t most_sets) {
  const auto element = static_cast<std::size_t>(size_of(wanted.spec.dtype));
  const auto tokens = static_cast<std::size_t>(wanted.tokens);
  const RowBytes row = row_bytes(wanted);
  const bool packed = wanted.view.row_stride > 0;
  Placement at{};
  at.q = static_cast<std::size_t>(wanted.view.q_offset) * element;
  at.k =
      packed ? static_cast<std::size_t>(wanted.view.k_offset) * element : aligned(tokens * row.q);
  for (const std::size_t bytes : {row.q, row.k, row.q_stride, at.q, at.k}) {
    if (bytes % kVectorBytes == 0) continue;
    return fail(Code::unsupported,
                "{}: heads x head_dim, strides and offsets must be multiples of {} bytes for the "
                "copy, one is {} bytes: take another number of heads",
                wanted.full_name(), kVectorBytes, bytes);
  }
  const std::size_t needed = rotated_bytes / qk_bytes(wanted) + 1;
  at.sets = rotated_bytes > 0 ? std::clamp<std::size_t>(needed, 2, most_sets) : 1;
  at.set_bytes = aligned(packed ? tokens * row.q_stride : at.k + tokens * row.k);
  place_in_set(wanted, at);
  at.table = at.sets * at.set_bytes;
  at.positions = at.table + aligned(table_bytes(wanted));
  const std::size_t axes = has_sections(wanted.spec) ? 3 : 1;
  at.q_weight = at.positions + aligned(axes * tokens * sizeof(std::int64_t));
  const auto vector = [&](int heads) {
    return aligned(static_cast<std::size_t>(weight_length(wanted.spec, heads) *
                                            size_of(dtype_of_weights(wanted.spec))));
  };
  at.k_weight = at.q_weight + vector(wanted.heads_q);
  at.q_bias = at.k_weight + vector(wanted.heads_k);
  at.k_bias = at.q_bias + vector(wanted.heads_q);
  at.end = at.k_bias + vector(wanted.heads_k);
  place_shared(wanted, at);
  return at;
}

qkjit_args args_of(const Case& wanted, const Placement& placement, const qkjit_spec& spec,
                   std::byte* pool, std::size_t set) {
  std::byte* start = pool + set * placement.set_bytes;
  qkjit_args args = QKJIT_ARGS_INIT;
  args.spec = spec;
  args.eps = wanted.eps;
  args.q = view(start + placement.q, spec, wanted, wanted.heads_q);
  args.k = view(start + placement.k, spec, wanted, wanted.heads_k);
  const Spec own = *to_spec(spec);
  add_outputs(wanted, placement, own, pool, start, args);
  const auto vector_at = [&](bool wanted_by_spec, int heads, std::size_t at) {
    const auto dtype = static_cast<qkjit_dtype>(dtype_of_weights(wanted.spec));
    const qkjit_tensor absent = QKJIT_TENSOR_INIT;
    return wanted_by_spec && heads > 0
               ? qkjit_tensor_1d(pool + at, dtype, weight_length(own, heads))
               : absent;
  };
  const int heads_q = wanted.heads_q, heads_k = wanted.heads_k;
  args.q_weight = vector_at(has_weight(own, own.q_norm), heads_q, placement.q_weight);
  args.k_weight = vector_at(has_weight(own, own.k_norm), heads_k, placement.k_weight);
  args.q_bias = vector_at(has_bias(own, own.q_norm), heads_q, placement.q_bias);
  args.k_bias = vector_at(has_bias(own, own.k_norm), heads_k, placement.k_bias);
  if (spec.rope_dim == 0) return args;
  if (spec.angles == QKJIT_ANGLES_COMPUTED) {
    args.frequencies.base = kBase;
  } else {
    add_table(wanted, pool + placement.table, args);
  }
  args.position_offset = wanted.position_offset;
  if (spec.positions != QKJIT_POSITIONS_IMPLICIT) {
    const bool wide = spec.positions == QKJIT_POSITIONS_INT64;
    const qkjit_dtype type = wide ? QKJIT_INT64 : QKJIT_INT32;
    std::byte* const positions = pool + placement.positions;
    args.positions = has_sections(wanted.spec) ? qkjit_tensor_2d(positions, type, 3, wanted.tokens)
                                               : qkjit_tensor_1d(positions, type, wanted.tokens);
  }
  return args;
}

CopyParams copy_of(const Case& wanted, const Placement& placement, std::byte* pool,
                   std::size_t set) {
  const auto vectors = [](std::size_t bytes) {
    return static_cast<unsigned>(bytes / kVectorBytes);
  };
  const auto tokens = static_cast<std::size_t>(wanted.tokens);
  const RowBytes row = row_bytes(wanted);
  std::byte* start = pool + set * placement.set_bytes;
  return {{start + placement.q, vectors(tokens * row.q), vectors(row.q), vectors(row.q_stride)},
          {start + placement.k, vectors(tokens * row.k), vectors(row.k), vectors(row.k_stride)}};
}

std::size_t qk_bytes(const Case& wanted) {
  const RowBytes row = row_bytes(wanted);
  return static_cast<std::size_t>(wanted.tokens) * (row.q + row.k);
}

}  // namespace qkjit::bench
