// Where the elements of a strided [batch, tokens, heads, head_dim] view lie, and whether two views
// meet.
#pragma once

#include <cstdint>

#include "qkjit/qkjit.h"

namespace qkjit {

/// A view in bytes. Strides are not negative and the whole extent fits in 63 bits. Counts are at
/// least one, but in a view of nothing, which no function below takes.
struct Extent {
  std::uintptr_t begin;
  std::int64_t tokens, heads;
  std::int64_t token_stride, head_stride;
  std::int64_t row;  ///< bytes of one row
  std::int64_t batches = 1, batch_stride = 0;

  std::uintptr_t end() const {
    return begin +
           static_cast<std::uintptr_t>((batches - 1) * batch_stride + (tokens - 1) * token_stride +
                                       (heads - 1) * head_stride + row);
  }
  friend bool operator==(const Extent&, const Extent&) = default;
};

/// Whether batch after batch the tokens are as far apart as within a batch: then all are tokens of
/// one.
bool folds(const Extent& extent);
/// The same rows in one batch, if folds().
Extent folded(Extent extent);

/// Whether two rows of the view share a byte. May say yes for exotic strides that interleave rows
/// of several levels; never no when they do.
bool overlaps_itself(const Extent& extent);

/// Whether the views share a byte. Exact when their strides are equal, as for q and k of one packed
/// projection; else decided by their whole ranges.
bool overlap(const Extent& a, const Extent& b);

}  // namespace qkjit
