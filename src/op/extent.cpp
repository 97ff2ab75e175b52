#include "op/extent.hpp"

#include <algorithm>
#include <cstdlib>
#include <utility>

namespace qkjit {
namespace {

/// Whether some token distance in (-b.tokens, a.tokens) brings `delta` to within a row's length:
/// rows [0, a.row) and [delta + d * stride, ... + b.row) meet.
bool meets(std::int64_t delta, std::int64_t stride, const Extent& a, const Extent& b) {
  const auto hits = [&](std::int64_t d) {
    const std::int64_t from = delta + d * stride;
    return -a.tokens < d && d < b.tokens && from < a.row && -from < b.row;
  };
  if (stride == 0) return hits(0);
  const std::int64_t nearest = -delta / stride;
  return hits(nearest - 1) || hits(nearest) || hits(nearest + 1);
}

/// The same bytes, with heads that follow one another as one long row.
Extent joined(Extent extent) {
  if (extent.head_stride != extent.row) return extent;
  extent.row *= extent.heads;
  extent.heads = 1;
  extent.head_stride = 0;
  return extent;
}

}  // namespace

bool overlaps_itself(const Extent& extent) {
  std::pair<std::int64_t, std::int64_t> inner = {extent.head_stride, extent.heads};
  std::pair<std::int64_t, std::int64_t> outer = {extent.token_stride, extent.tokens};
  if (inner.second > 1 && outer.second > 1 && outer.first < inner.first) std::swap(inner, outer);
  std::int64_t span = extent.row;
  for (const auto& [stride, count] : {inner, outer}) {
    if (count == 1) continue;
    if (stride < span) return true;
    span += stride * (count - 1);
  }
  return false;
}

bool overlap(const Extent& first, const Extent& second) {
  if (first.end() <= second.begin || second.end() <= first.begin) return false;
  const Extent a = joined(first), b = joined(second);
  const bool same_strides = a.token_stride == b.token_stride &&
                            (a.head_stride == b.head_stride || a.heads == 1 || b.heads == 1);
  if (!same_strides) return true;
  const std::int64_t head_stride = a.heads == 1 ? b.head_stride : a.head_stride;
  const auto delta = static_cast<std::int64_t>(b.begin - a.begin);
  for (std::int64_t d = -(a.heads - 1); d < b.heads; ++d) {
    if (meets(delta + d * head_stride, a.token_stride, a, b)) return true;
  }
  return false;
}

}  // namespace qkjit
