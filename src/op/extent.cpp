#include "op/extent.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <utility>

namespace qkjit {
namespace {

/// The largest number of strides that is not beyond `distance`.
std::int64_t floor_of(std::int64_t distance, std::int64_t stride) {
  return distance / stride - (distance % stride < 0 ? 1 : 0);
}

/// Whether some token distance d in (-a.tokens, b.tokens) brings rows together: [0, a.row) and
/// [delta + d * stride, ... + b.row).
bool meets(std::int64_t delta, std::int64_t stride, const Extent& a, const Extent& b) {
  if (stride == 0) return delta < a.row && -delta < b.row;
  const std::int64_t last = floor_of(a.row - 1 - delta, stride);
  const std::int64_t before_first = floor_of(-b.row - delta, stride);
  return std::max(before_first + 1, 1 - a.tokens) <= std::min(last, b.tokens - 1);
}

/// The same bytes, with heads that follow one another as one long row.
Extent joined(Extent extent) {
  if (extent.head_stride != extent.row) return extent;
  extent.row *= extent.heads;
  extent.heads = 1;
  extent.head_stride = 0;
  return extent;
}

/// Bytes from the first of a batch to behind its last.
std::int64_t length_of_batch(const Extent& e) {
  return (e.tokens - 1) * e.token_stride + (e.heads - 1) * e.head_stride + e.row;
}

/// The stride that both levels go by, if they do; a single one goes by any.
struct CommonStride {
  bool exists;
  std::int64_t value;
};
CommonStride common(std::int64_t stride_a, std::int64_t count_a, std::int64_t stride_b,
                    std::int64_t count_b) {
  if (count_a == 1) return {true, count_b == 1 ? 0 : stride_b};
  return {stride_a == stride_b || count_b == 1, stride_a};
}

}  // namespace

bool folds(const Extent& extent) {
  return extent.batches == 1 || extent.tokens == 1 ||
         extent.batch_stride == extent.tokens * extent.token_stride;
}

Extent folded(Extent extent) {
  if (extent.batches == 1) return extent;
  if (extent.tokens == 1) extent.token_stride = extent.batch_stride;
  extent.tokens *= extent.batches;
  extent.batches = 1, extent.batch_stride = 0;
  return extent;
}

bool overlaps_itself(const Extent& extent) {
  using Level = std::pair<std::int64_t, std::int64_t>;  // stride and count
  std::array<Level, 3> levels = {{{extent.head_stride, extent.heads},
                                  {extent.token_stride, extent.tokens},
                                  {extent.batch_stride, extent.batches}}};
  std::ranges::sort(levels, {}, &Level::first);
  std::int64_t span = extent.row;
  for (const auto& [stride, count] : levels) {
    if (count == 1) continue;
    if (stride < span) return true;
    span += stride * (count - 1);
  }
  return false;
}

bool overlap(const Extent& first, const Extent& second) {
  if (first.end() <= second.begin || second.end() <= first.begin) return false;
  const Extent a = joined(first), b = joined(second);
  const CommonStride batch = common(a.batch_stride, a.batches, b.batch_stride, b.batches);
  const CommonStride token = common(a.token_stride, a.tokens, b.token_stride, b.tokens);
  const CommonStride head = common(a.head_stride, a.heads, b.head_stride, b.heads);
  if (!batch.exists || !token.exists || !head.exists) return true;
  const auto delta = static_cast<std::int64_t>(b.begin - a.begin);
  // Batches further apart than either is long cannot meet: caches have very many.
  std::int64_t first_batch = -(a.batches - 1), last_batch = b.batches - 1;
  if (batch.value > 0) {
    first_batch = std::max(first_batch, floor_of(-length_of_batch(b) - delta, batch.value));
    last_batch = std::min(last_batch, floor_of(length_of_batch(a) - delta, batch.value) + 1);
  }
  for (std::int64_t i = first_batch; i <= last_batch; ++i) {
    for (std::int64_t d = -(a.heads - 1); d < b.heads; ++d) {
      if (meets(delta + i * batch.value + d * head.value, token.value, a, b)) return true;
    }
  }
  return false;
}

}  // namespace qkjit
