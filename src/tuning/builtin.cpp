#include "tuning/builtin.hpp"

#include <algorithm>

#include "spec/variant.hpp"
#include "tuning/default_variant.hpp"

namespace qkjit {
namespace {

constexpr std::uint64_t kMebibyte = 1 << 20;
constexpr int kAnyRope = -1;

/// What was measured best for specs of a kind, with RMSNorm and a plain table, as Choices: the
/// first staged in registers; the others may be missing (no lanes). Other norms and tables are
/// taken to be alike, but for tables by element, which keep neox pairs out of a lane.
struct Row {
  struct {
    int head_dim, rope_dim;
    Layout layout;
    bool is_fp32 = false;
    bool is_normed = true;
    bool by_element = false;
    Angles angles = Angles::table;
  } of;
  Choice choices[4];

  bool covers(const Spec& spec) const {
    return of.head_dim == spec.head_dim &&
           (of.rope_dim == kAnyRope || of.rope_dim == spec.rope_dim) && of.layout == spec.layout &&
           of.is_fp32 == (spec.dtype == DType::fp32) && (of.is_normed || !has_norm(spec)) &&
           of.by_element == (spec.table_width == TableWidth::elements) &&
           of.angles == spec.angles && spec.v == Values::none && !has_other_outputs(spec) &&
           spec.placement == RopePlacement::head && !runs_by_token(spec);
  }
};

constexpr Layout kInterleaved = Layout::interleaved, kNeox = Layout::neox;
constexpr Staging kBulk = Staging::bulk, kBulkLoad = Staging::bulk_load;

// Per cent of an in-place copy's time on an H200, bf16 (or as said), 24 + 24 heads, random int64
// positions: at 4,096 and 16,384 tokens (or those named), the kernel that serves them; in brackets
// the next best. Microseconds are those of small calls. In full: bench/results/h200-tune-*.json and
// h200-variants-*.json. Shapes with a power of two of chunks that have no row are served best by
// default_variant().
constexpr Row kSm90[] = {
    // 19 tokens: 1.51 us, 256: 2.88, 1,024: 7.64 (16 lanes, two rows: 7.90), 4,096: 97.2 (96.5),
    // 16,384: 96.3, 33,280: 96.3 (92)
    {{128, kAnyRope, kInterleaved},
     {{0, {.lanes = 8, .rows = 1, .threads = 128, .blocks = 8}},
      {280 * kMebibyte, {.lanes = 16, .rows = 4, .threads = 64, .blocks = 24, .staging = kBulk}}}},
    // 19 tokens: 1.52 us, 256: 2.91, 1,024: 7.66, 4,096: 98.3, 16,384: 95.8, 33,280: 95.8 (91.9)
    {{128, 128, kNeox},
     {{0, {.lanes = 8, .rows = 1, .threads = 128, .blocks = 8}},
      {280 * kMebibyte, {.lanes = 16, .rows = 8, .threads = 128, .staging = kBulk}}}},
    // 94.2 and 95.0 (92.9 and 93.6)
    {{128, 96, kNeox},
     {{0, {.lanes = 16, .rows = 4, .threads = 64}},
      {1, {.lanes = 16, .rows = 4, .threads = 128, .blocks = 8, .staging = kBulkLoad}}}},
    // 97.5 and 98.3 (94.1 and 94.4)
    {{128, 64, kNeox},
     {{0, {.lanes = 8, .rows = 1, .threads = 128}},
      {1, {.lanes = 8, .rows = 2, .threads = 128, .staging = kBulkLoad}}}},
    // 96.6 and 96.6 (96.2 and 95.9)
    {{64, 32, kNeox},
     {{0, {.lanes = 4, .rows = 1, .threads = 128}},
      {1, {.lanes = 4, .rows = 4, .threads = 128, .staging = kBulkLoad}}}},
    // 98.8 and 96.3 (97.4 and 95.9)
    {{256, kAnyRope, kInterleaved},
     {{0, {.lanes = 16, .rows = 1, .threads = 128, .blocks = 8, .load = Hint::streaming}},
      {190 * kMebibyte, {.lanes = 32, .rows = 8, .threads = 32, .staging = kBulk}}}},
    // 98.7 and 95.9 (97.3 and 95.1)
    {{256, 256, kNeox},
     {{0, {.lanes = 16, .rows = 1, .threads = 128, .blocks = 8, .load = Hint::streaming}},
      {190 * kMebibyte, {.lanes = 16, .rows = 4, .threads = 32, .staging = kBulk}}}},
    // 98.0 and 96.7 (96.7 and 93.9)
    {{256, 128, kNeox},
     {{0, {.lanes = 16, .rows = 1, .threads = 128}},
      {1, {.lanes = 8, .rows = 1, .threads = 64, .staging = kBulkLoad}},
      {200 * kMebibyte, {.lanes = 16, .rows = 4, .threads = 32, .staging = kBulk}}}},
    // 98.4 and 97.5 (97.4 and 97.2)
    {{256, 64, kNeox},
     {{0, {.lanes = 16, .rows = 1, .threads = 128}},
      {1, {.lanes = 16, .rows = 2, .threads = 128, .staging = kBulkLoad}},
      {200 * kMebibyte, {.lanes = 16, .rows = 4, .threads = 32, .staging = kBulkLoad}}}},
    // A head of MiniMax H3's decoder, 32 + 32 heads: 4,096 tokens 94.0, 20,165: 97.2 (86.7); 1,024:
    // 81.4 (83.6)
    {{64, 48, kNeox},
     {{0, {.lanes = 8, .rows = 2, .threads = 128}},
      {16 * kMebibyte, {.lanes = 8, .rows = 8, .threads = 64, .staging = kBulk}}}},
    // fp32: 98.8 and 97.2 (97.2 and 96.9)
    {{128, kAnyRope, kInterleaved, true},
     {{0, {.lanes = 16, .rows = 1, .threads = 128, .blocks = 12}},
      {190 * kMebibyte, {.lanes = 16, .rows = 2, .threads = 64, .staging = kBulk}}}},
    // fp32: 98.7 and 97.1 (97.8 and 97.0)
    {{128, 128, kNeox, true},
     {{0, {.lanes = 16, .rows = 1, .threads = 128, .blocks = 8}},
      {190 * kMebibyte, {.lanes = 8, .rows = 2, .threads = 32, .staging = kBulk}}}},
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
    // A table by element, rounding=eager: 256 tokens: 3.58 us, 92.1 and 94.2
    {{128, 128, kNeox, false, true, true},
     {{0, {.lanes = 16, .rows = 2, .threads = 256}},
      {6 * kMebibyte, {.lanes = 16, .rows = 4, .threads = 64, .staging = kBulk}}}},
    // Computed angles: 97.9 at 4,096 tokens of 40 + 40 heads (92), both layouts
    {{128, 128, kInterleaved, false, true, false, Angles::computed},
     {{0, {.lanes = 8, .rows = 1, .threads = 128, .blocks = 8}},
      {8 * kMebibyte, {.lanes = 8, .rows = 2, .threads = 128, .staging = kBulk}}}},
    {{128, 128, kNeox, false, true, false, Angles::computed},
     {{0, {.lanes = 8, .rows = 1, .threads = 128, .blocks = 8}},
      {8 * kMebibyte, {.lanes = 8, .rows = 2, .threads = 128, .staging = kBulk}}}},
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

/// What bulk copies are better for, and from what size; without lanes if there is nothing.
Choice staged_choice(const Spec& spec) {
  if (runs_by_token(spec)) return {1, staged_token_variant(spec)};
  // 80, 112 and 160 with neox: 95, 93 and 95 % of the copy on an H200; 80, 96, 112 and 160
  // interleaved: 95, 99, 96 and 95 %.
  if (has_odd_rows(spec)) return {1, odd_row_variant(spec)};
  // Short rows are better off in registers (64 elements, 16,384 tokens of 32 + 8 heads, of a copy's
  // rate; in brackets bulk loads): FP8 86 % (81), with a scale a head 83 (73), paged 95 (82), both
  // 85 (76).
  const bool has_short_rows = spec.head_dim * size_of(spec.dtype) < 256;
  if (has_other_outputs(spec) && !has_short_rows) return {8 * kMebibyte, output_variant(spec)};
  return {};
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
  plain.pdl = !runs_by_token(spec);  // where a block's warps wait for each other, it costs 7 %
  const Choice staged = staged_choice(spec);
  if (staged.variant.lanes > 0 && check_variant(spec, staged.variant, target)) {
    return {{0, plain}, staged};
  }
  return {{0, plain}};
}

}  // namespace qkjit
