#include "tuning/builtin.hpp"

#include <algorithm>

#include "spec/variant.hpp"
#include "tuning/default_variant.hpp"

namespace qkjit {
namespace {

constexpr std::uint64_t kKibibyte = 1 << 10, kMebibyte = 1 << 20;
constexpr int kAnyRope = -1;

/// What was measured best for specs of a kind, with RMSNorm and a plain table, as Choices; other
/// norms, and none, are taken to be alike, other tables are not: the first staged in registers; the
/// others may be missing (no lanes).
struct Row {
  struct {
    int head_dim, rope_dim;
    Layout layout;
    bool is_fp32 = false;
    bool is_normed = true;
  } of;
  Choice choices[4];

  bool covers(const Spec& spec) const {
    return of.head_dim == spec.head_dim &&
           (of.rope_dim == kAnyRope || of.rope_dim == spec.rope_dim) && of.layout == spec.layout &&
           of.is_fp32 == (spec.dtype == DType::fp32) && (of.is_normed || !has_norm(spec)) &&
           has_plain_table(spec) && spec.placement == RopePlacement::head;
  }
};

constexpr Layout kInterleaved = Layout::interleaved, kNeox = Layout::neox;
constexpr Staging kBulk = Staging::bulk, kBulkLoad = Staging::bulk_load;

// Per cent of an in-place copy's time on an H200, bf16 (or as said), 24 + 24 heads, random int64
// positions: at 4,096 and 33,280 tokens, the first kernel and the last; or, where sizes are named,
// at those the kernel that serves them. Microseconds are those of small calls. In full:
// bench/results/h200-tune-2026-11-24*.json.
constexpr Row kSm90[] = {
    // 19 tokens: 1.38 us (the next 1.54), 64: 1.86 (the first 2.11), 256: 2.78 (the first 5.36, the
    // third 3.26), 4,096: 97.3 (the last 93.5), 33,280: 96.3 (the third 94.5)
    {{128, kAnyRope, kInterleaved},
     {{0, {.lanes = 16, .rows = 1, .threads = 256, .blocks = 4}},
      {4 * kMebibyte, {.lanes = 16, .rows = 2, .threads = 128}},
      {160 * kMebibyte, {.lanes = 16, .rows = 4, .threads = 64, .blocks = 24, .staging = kBulk}}}},
    // 19 tokens: 1.54 us (the third 1.76), 256: 2.96 (the first 3.53, the third 3.63),
    // 4,096: 96.4, 16,384: 95.8, 33,280: 95.7 (the third 94.1); 64 threads with streaming loads are
    // as fast in bf16, and 4 % slower in fp16
    {{128, 128, kNeox},
     {{0, {.lanes = 8, .rows = 1, .threads = 128, .blocks = 8}},
      {280 * kMebibyte, {.lanes = 16, .rows = 8, .threads = 128, .staging = kBulk}}}},
    // 93.5 and 90.2; 94.1 and 94.2
    {{128, 96, kNeox},
     {{0, {.lanes = 16, .rows = 4, .threads = 64}},
      {1, {.lanes = 16, .rows = 4, .threads = 128, .blocks = 8, .staging = kBulkLoad}}}},
    // 4,096: 97.2, 16,384: 98.7 (the first: 96.4 and 97.8)
    {{128, 64, kNeox},
     {{0, {.lanes = 8, .rows = 1, .threads = 128}},
      {1, {.lanes = 8, .rows = 2, .threads = 128, .staging = kBulkLoad}}}},
    // 4,096: 97.9, 16,384: 97.6
    {{64, 32, kNeox}, {{0, {.lanes = 4, .rows = 1, .threads = 128, .load = Hint::streaming}}}},
    // 97.8 and 96.0; 95.9 and 96.5
    {{256, kAnyRope, kInterleaved},
     {{0, {.lanes = 32, .rows = 2, .threads = 256, .load = Hint::streaming}},
      {160 * kMebibyte, {.lanes = 32, .rows = 4, .threads = 64, .staging = kBulk}}}},
    // 96.3 and 94.3; 94.5 and 96.5
    {{256, 256, kNeox},
     {{0, {.lanes = 16, .rows = 1, .threads = 128}},
      {160 * kMebibyte, {.lanes = 16, .rows = 4, .threads = 32, .staging = kBulk}}}},
    // 4,096: 97.3 (the first: 94.9), 16,384: 97.1
    {{256, 128, kNeox},
     {{0, {.lanes = 16, .rows = 1, .threads = 128}},
      {1, {.lanes = 8, .rows = 1, .threads = 64, .staging = kBulkLoad}},
      {200 * kMebibyte, {.lanes = 16, .rows = 4, .threads = 32, .staging = kBulk}}}},
    // 4,096: 97.4, 16,384: 97.5
    {{256, 64, kNeox},
     {{0, {.lanes = 16, .rows = 1, .threads = 128}},
      {200 * kMebibyte, {.lanes = 16, .rows = 4, .threads = 32, .staging = kBulkLoad}}}},
    // fp32: 97.3 and 97.2; 97.5 and 97.8
    {{128, kAnyRope, kInterleaved, true},
     {{0, {.lanes = 8, .rows = 2, .threads = 32}},
      {64 * kMebibyte, {.lanes = 16, .rows = 2, .threads = 64, .staging = kBulk}}}},
    // 4,096: 92.3, 8,192: 93.4, 16,384: 95.4 (the first: 86)
    {{192, 192, kNeox},
     {{0, {.lanes = 4, .rows = 4, .threads = 32}},
      {1, {.lanes = 4, .rows = 4, .threads = 32, .staging = kBulkLoad}},
      {100 * kMebibyte, {.lanes = 12, .rows = 4, .threads = 64, .staging = kBulk}}}},
    // 4,096: 96.2, 8,192: 94.3, 16,384: 95.8 (the first: 91)
    {{192, 192, kInterleaved},
     {{0, {.lanes = 8, .rows = 4, .threads = 32}},
      {1, {.lanes = 8, .rows = 2, .threads = 64, .staging = kBulkLoad}},
      {200 * kMebibyte, {.lanes = 16, .rows = 4, .threads = 32, .staging = kBulk}}}},
    // Rotation alone, 4,096 tokens of 16 + 16 heads: 99.2
    {{72, 72, kNeox, false, false},
     {{0, {.lanes = 9, .rows = 2, .threads = 128}},
      {1, {.lanes = 9, .rows = 4, .threads = 128, .staging = kBulkLoad}}}},
    // 4,096: 85.7, 8,192: 89.1, 16,384: 92.2 (the first: 73)
    {{72, 72, kNeox},
     {{0, {.lanes = 9, .rows = 2, .threads = 128}},
      {4 * kMebibyte, {.lanes = 9, .rows = 4, .threads = 64, .staging = kBulkLoad}},
      {80 * kMebibyte, {.lanes = 9, .rows = 8, .threads = 64, .staging = kBulk}}}},
    // 4,096: 91.3, 8,192: 92.4, 16,384: 93.1 (the first: 85)
    {{72, 72, kInterleaved},
     {{0, {.lanes = 4, .rows = 1, .threads = 64}},
      {1, {.lanes = 9, .rows = 4, .threads = 128, .blocks = 8, .staging = kBulkLoad}},
      {80 * kMebibyte, {.lanes = 9, .rows = 8, .threads = 64, .staging = kBulk}}}},
};

/// With dependent launch, as of sm_90.
Choices choices_of(const Row& row) {
  Choices choices;
  for (const Choice& choice : row.choices) {
    if (choice.variant.lanes == 0) break;
    choices.push_back(choice);
    choices.back().variant.pdl = true;
  }
  return choices;
}

}  // namespace

Choices builtin_choices(const Spec& spec, std::string_view target) {
  const int capability = compute_capability(target);
  if (capability < kFirstWithBulk) return {{0, default_variant(spec)}};
  if (capability == 90) {
    const auto row = std::ranges::find_if(kSm90, [&](const Row& r) { return r.covers(spec); });
    if (row != std::end(kSm90)) return choices_of(*row);
  }
  Variant plain = default_variant(spec);
  plain.pdl = true;
  // 80, 112 and 160 with neox: 95, 93 and 95 % of the copy on an H200; 80, 96, 112 and 160
  // interleaved: 95, 99, 96 and 95 %.
  const Variant odd = odd_row_variant(spec);
  if (has_odd_rows(spec) && check_variant(spec, odd, target)) return {{0, plain}, {1, odd}};
  return {{0, plain}};
}

}  // namespace qkjit
