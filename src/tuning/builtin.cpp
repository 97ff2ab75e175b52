#include "tuning/builtin.hpp"

#include <algorithm>

#include "spec/variant.hpp"
#include "tuning/default_variant.hpp"

namespace qkjit {
namespace {

constexpr std::uint64_t kMebibyte = 1 << 20;
constexpr int kAnyRope = -1;

/// What was measured best for specs of a kind: a first kernel staged in registers, and one staged
/// in shared memory for calls from so many bytes of q and k on.
struct Row {
  int head_dim, rope_dim;
  Layout layout;
  bool is_fp32;
  Variant registers;
  std::uint64_t staged_from;
  Variant staged;

  bool covers(const Spec& spec) const {
    return head_dim == spec.head_dim && (rope_dim == kAnyRope || rope_dim == spec.rope_dim) &&
           layout == spec.layout && is_fp32 == (spec.dtype == DType::fp32) &&
           spec.table_width != TableWidth::elements;  // whose pairs need another mapping
  }
};

constexpr Staging kBulk = Staging::bulk, kBulkLoad = Staging::bulk_load;

// Per cent of an in-place copy on an H200, bf16 (or as said), 24 + 24 heads, random int64
// positions, at 4,096 and 33,280 tokens: the first kernel, then the second. In full:
// bench/results/h200-tune-2026-11-24.json.
constexpr Row kSm90[] = {
    // 97.3 and 94.5; 93.5 and 96.3
    {128,
     kAnyRope,
     Layout::interleaved,
     false,
     {.lanes = 16, .rows = 2, .threads = 128},
     160 * kMebibyte,
     {.lanes = 16, .rows = 4, .threads = 64, .blocks = 24, .staging = kBulk}},
    // 96.7 and 94.1; 92.9 and 95.7
    {128,
     128,
     Layout::neox,
     false,
     {.lanes = 8, .rows = 2, .threads = 128},
     160 * kMebibyte,
     {.lanes = 16, .rows = 8, .threads = 128, .staging = kBulk}},
    // 93.5 and 90.2; 94.1 and 94.2
    {128,
     96,
     Layout::neox,
     false,
     {.lanes = 16, .rows = 4, .threads = 64},
     1,
     {.lanes = 16, .rows = 4, .threads = 128, .blocks = 8, .staging = kBulkLoad}},
    // 94.3 and 93.5; 97.6 and 95.5
    {128,
     64,
     Layout::neox,
     false,
     {.lanes = 16, .rows = 4, .threads = 64},
     1,
     {.lanes = 4, .rows = 1, .threads = 64, .staging = kBulkLoad}},
    // 97.8 and 96.0; 95.9 and 96.5
    {256,
     kAnyRope,
     Layout::interleaved,
     false,
     {.lanes = 32, .rows = 2, .threads = 256, .load = Hint::streaming},
     160 * kMebibyte,
     {.lanes = 32, .rows = 4, .threads = 64, .staging = kBulk}},
    // 96.3 and 94.3; 94.5 and 96.5
    {256,
     256,
     Layout::neox,
     false,
     {.lanes = 16, .rows = 1, .threads = 128},
     160 * kMebibyte,
     {.lanes = 16, .rows = 4, .threads = 32, .staging = kBulk}},
    // fp32: 97.3 and 97.2; 97.5 and 97.8
    {128,
     kAnyRope,
     Layout::interleaved,
     true,
     {.lanes = 8, .rows = 2, .threads = 32},
     64 * kMebibyte,
     {.lanes = 16, .rows = 2, .threads = 64, .staging = kBulk}},
    // 86.4 and 85.0; 93.4 and 93.0
    {192,
     192,
     Layout::neox,
     false,
     {.lanes = 4, .rows = 4, .threads = 32},
     1,
     {.lanes = 4, .rows = 4, .threads = 32, .staging = kBulkLoad}},
    // 72.8 and 71.8; 87.7 and 91.2
    {72,
     72,
     Layout::neox,
     false,
     {.lanes = 9, .rows = 2, .threads = 128},
     1,
     {.lanes = 9, .rows = 4, .threads = 128, .staging = kBulkLoad}},
};

Variant with_pdl(Variant variant) {
  variant.pdl = true;
  return variant;
}

}  // namespace

Choices builtin_choices(const Spec& spec, std::string_view target) {
  const int capability = compute_capability(target);
  if (capability < kFirstWithBulk) return {{0, default_variant(spec)}};
  if (capability == 90) {
    const auto row = std::ranges::find_if(kSm90, [&](const Row& r) { return r.covers(spec); });
    if (row != std::end(kSm90)) {
      return {{0, with_pdl(row->registers)}, {row->staged_from, with_pdl(row->staged)}};
    }
  }
  const Variant plain = default_variant(spec);
  const Choice first = {0, with_pdl(plain)};
  // 80, 112 and 160 with neox: 95, 93 and 95 % of the copy on an H200; 72, 80, 96, 112 and 160
  // interleaved: 92, 95, 99, 96 and 95 %.
  const Variant odd = odd_row_variant(spec);
  if (has_odd_rows(spec) && check_variant(spec, odd, target)) return {first, {1, odd}};
  // As 64 of 128 above; other sizes were not measured.
  const bool four_chunks = plain.lanes * 4 * kChunk == spec.head_dim;
  if (rotates_neox(spec) && four_chunks) return {first, {1, partial_row_variant(plain.lanes)}};
  return {first};
}

}  // namespace qkjit
