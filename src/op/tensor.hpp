// One tensor of a call, checked by itself.
#pragma once

#include <cstdint>
#include <string_view>

#include "kernels/spec.cuh"
#include "op/extent.hpp"
#include "qkjit/qkjit.h"
#include "util/error.hpp"

namespace qkjit {

/// Rank, dtype, strides, pointer and its alignment, which every tensor must have right. `shape` is
/// for the message.
Result<void> check_form(std::string_view name, const qkjit_tensor& tensor, std::string_view shape,
                        int rank, int dtype);

/// Whether the caller gave a tensor; a shape without memory is one, and most often a mistake.
inline bool is_given(const qkjit_tensor& t) { return t.data || t.rank != 0; }

/// A checked [tokens, heads, head_dim] or [batch, tokens, heads, head_dim] tensor; not null unless
/// it has no tokens.
struct HeadView {
  void* data = nullptr;
  Extent extent = {};
  bool is_batched = false;  ///< it has a batch dimension
  bool is_absent = false;   ///< the caller gave none

  /// Of all batches.
  std::int64_t tokens() const { return extent.batches * extent.tokens; }
};

/// `input` is the view whose shape the tensor must have, or null: then it may have any, with at
/// least one head.
Result<HeadView> check_head_tensor(std::string_view name, const qkjit_tensor& tensor,
                                   const Spec& spec, const HeadView* input, Out out = Out::same);

/// The qkjit_dtype of an output.
int dtype_of_out(const Spec& spec, Out out);

/// A weight or a bias of so many heads, below 2^31.
Result<void> check_vector(std::string_view name, const qkjit_tensor& tensor, const Spec& spec,
                          std::int64_t heads);

/// 16-byte boundaries: of a pointer, and of every row of a view; or others of such a view.
bool on_16_bytes(const void* pointer);
bool on_16_bytes(const Extent& extent);
bool lies_on(const Extent& extent, std::int64_t bytes);

}  // namespace qkjit
