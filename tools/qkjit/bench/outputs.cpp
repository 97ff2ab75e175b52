#include "tools/qkjit/bench/outputs.hpp"

#include "tools/qkjit/paged_slots.hpp"

namespace qkjit::bench {
namespace {

int heads_v(const Case& wanted) { return wanted.spec.v == Values::copy ? wanted.heads_k : 0; }

/// Of an output, or of the cache that stands for it.
std::size_t bytes_of(const Case& wanted, int heads, bool is_q) {
  const std::int64_t tokens = is_q ? wanted.tokens : paged_blocks(wanted.tokens) * kPagedBlockSize;
  return static_cast<std::size_t>(tokens * heads * wanted.spec.head_dim *
                                  size_of_out(wanted.spec, is_q));
}

qkjit_tensor output(const Case& wanted, const Spec& own, void* data, int heads, bool is_q) {
  const auto dtype = is_fp8(own, is_q) ? QKJIT_FP8_E4M3 : static_cast<qkjit_dtype>(own.dtype);
  if (own.cache == Cache::paged && !is_q) {
    return qkjit_tensor_4d(data, dtype, paged_blocks(wanted.tokens), kPagedBlockSize, heads,
                           own.head_dim);
  }
  return qkjit_tensor_3d(data, dtype, wanted.tokens, heads, own.head_dim);
}

}  // namespace

void place_in_set(const Case& wanted, Placement& at) {
  const Spec& spec = wanted.spec;
  const int v = heads_v(wanted);
  const auto place = [&](bool is_there, std::size_t bytes) {
    const std::size_t begin = at.set_bytes;
    if (is_there) at.set_bytes += aligned(bytes);
    return begin;
  };
  const bool k_elsewhere = is_fp8(spec, false) || spec.cache == Cache::paged;
  at.v = place(v > 0,
               static_cast<std::size_t>(wanted.tokens * v * spec.head_dim * size_of(spec.dtype)));
  at.q_out = place(is_fp8(spec, true), bytes_of(wanted, wanted.heads_q, true));
  at.k_out = place(k_elsewhere, bytes_of(wanted, wanted.heads_k, false));
  at.v_out = place(v > 0, bytes_of(wanted, v, false));
}

void place_shared(const Case& wanted, Placement& at) {
  const auto place = [&](bool is_there, std::int64_t bytes) {
    const std::size_t begin = at.end;
    if (is_there) at.end += aligned(static_cast<std::size_t>(bytes));
    return begin;
  };
  const auto scales = [&](bool is_q, int heads) {
    const bool has_scales = is_fp8(wanted.spec, is_q) && heads > 0;
    return place(has_scales, wanted.tokens * heads * static_cast<std::int64_t>(sizeof(float)));
  };
  at.q_scale = scales(true, wanted.heads_q);
  at.k_scale = scales(false, wanted.heads_k);
  at.v_scale = scales(false, heads_v(wanted));
  at.slots = place(wanted.spec.cache == Cache::paged, wanted.tokens * 8);
}

void add_outputs(const Case& wanted, const Placement& at, const Spec& own, std::byte* pool,
                 std::byte* set, qkjit_args& args) {
  const auto scale = [&](bool is_q, std::size_t begin, int heads) {
    const qkjit_tensor absent = QKJIT_TENSOR_INIT;
    if (!is_fp8(own, is_q) || heads == 0) return absent;
    if (scales_tokens(own)) return qkjit_tensor_1d(pool + begin, QKJIT_FP32, wanted.tokens);
    return own.out_scale == OutScale::given
               ? qkjit_tensor_1d(pool + begin, QKJIT_FP32, heads)
               : qkjit_tensor_2d(pool + begin, QKJIT_FP32, wanted.tokens, heads);
  };
  const bool paged = own.cache == Cache::paged;
  const int v = own.v == Values::copy ? heads_v(wanted) : 0;
  if (is_fp8(own, true)) args.q_out = output(wanted, own, set + at.q_out, wanted.heads_q, true);
  if (is_fp8(own, false) || paged) {
    (paged ? args.k_cache : args.k_out) =
        output(wanted, own, set + at.k_out, wanted.heads_k, false);
  }
  if (v > 0) {
    args.v = qkjit_tensor_3d(set + at.v, static_cast<qkjit_dtype>(own.dtype), wanted.tokens, v,
                             own.head_dim);
    (paged ? args.v_cache : args.v_out) = output(wanted, own, set + at.v_out, v, false);
  }
  args.q_scale = scale(true, at.q_scale, wanted.heads_q);
  args.k_scale = scale(false, at.k_scale, wanted.heads_k);
  args.v_scale = scale(false, at.v_scale, v);
  if (paged) {
    const auto type = own.slots == Slots::int64 ? QKJIT_INT64 : QKJIT_INT32;
    args.slot_mapping = qkjit_tensor_1d(pool + at.slots, type, wanted.tokens);
  }
}

double bytes_beyond_copy(const Case& wanted) {
  const Spec& spec = wanted.spec;
  const int size = size_of(spec.dtype), of_q = size_of_out(spec, true),
            of_k = size_of_out(spec, false), v = heads_v(wanted);
  const double head = static_cast<double>(wanted.tokens) * spec.head_dim;
  const double rows =
      head * (wanted.heads_q * (of_q - size) + wanted.heads_k * (of_k - size) + v * (size + of_k));
  const auto scaled = [&](int heads) { return scales_tokens(spec) ? heads > 0 : heads; };
  const int of_token = (is_fp8(spec, true) ? scaled(wanted.heads_q) : 0) +
                       (is_fp8(spec, false) ? scaled(wanted.heads_k) + scaled(v) : 0);
  const double scales = spec.out_scale == OutScale::given ? 0.0 : 4.0 * of_token;
  const double slots = spec.cache == Cache::none ? 0 : spec.slots == Slots::int64 ? 8 : 4;
  return rows + static_cast<double>(wanted.tokens) * (scales + slots);
}

std::vector<std::byte> slots_of(const Case& wanted) {
  if (wanted.spec.cache == Cache::none) return {};
  return paged_slots(wanted.tokens, wanted.spec.slots);
}

}  // namespace qkjit::bench
