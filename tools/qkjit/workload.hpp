// One call of the operation with its data: what `run` executes, on whatever memory.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "kernels/spec.cuh"
#include "qkjit/qkjit.h"
#include "tools/qkjit/model.hpp"
#include "tools/qkjit/rope_table.hpp"

namespace qkjit {

/// Everything a call reads or writes, as blocks of host memory that may be copied elsewhere. Moves,
/// but does not copy, because `args` points into the blocks.
struct Workload {
  enum Block {
    kQk,
    kQWeight,
    kKWeight,
    kQBias,
    kKBias,
    kTable,
    kPositions,
    kPositionError,
    kOutputs,
    kBlockCount
  };
  using Blocks = std::array<std::vector<std::byte>, kBlockCount>;
  using Bases = std::array<void*, kBlockCount>;

  Workload() = default;
  Workload(Workload&&) = default;
  Workload& operator=(Workload&&) = default;

  std::string name;
  int repeat = 1;  ///< calls of this kind in one forward pass of the model
  Blocks blocks;
  /// The call over `blocks`: in place, but for what kOutputs has.
  qkjit_args args = QKJIT_ARGS_INIT;

  /// The call over copies of the blocks.
  qkjit_args args_at(const Bases& bases) const;

  /// Of all sequences together.
  std::int64_t tokens() const;
  static std::int64_t tokens_of(const qkjit_tensor& tensor) {
    return tensor.rank == 4 ? tensor.shape[0] * tensor.shape[1] : tensor.shape[0];
  }
  /// Of q, k or v; 0 for what the call does not take.
  static std::int64_t heads(const qkjit_tensor& tensor) {
    return tensor.data ? tensor.shape[tensor.rank - 2] : 0;
  }
  /// Bytes that any implementation must move: q, k and v read, and their results written, once.
  double bytes_moved() const;
};

/// Of angles where no model says it, in a table and computed.
inline constexpr double kBase = 10000;

/// The size of a workload whose data is generated. With v=copy, v has as many heads as k.
struct Shape {
  std::int64_t tokens = 0;
  int heads_q = 0, heads_k = 0;  ///< 0: a call without q, or without k
  PackedView view;               ///< row_stride 0: q and k contiguous, one after the other
  /// Sequences of `tokens` each, with the same positions; 0: one, without a batch dimension. With
  /// batch=strided there is a gap of a token between them.
  std::int64_t batches = 0;
};

/// Normally distributed q and k, weights around 1 (or where 1 is added, around 0), biases around 0,
/// and `table` (null for rope_dim 0), of whose tokens the first is `first_token`: its row, or in a
/// table by position its place in the positions. Else explicit positions are 0, 1, ... The same
/// seed gives the same data everywhere. Where angles are computed, only the table's positions are
/// used.
Workload generate_workload(const Spec& spec, const Shape& shape, const RopeTable* table,
                           std::int64_t first_token, float eps, unsigned seed);

/// A model's call at the model's own size.
Result<Workload> model_workload(const Model& model, const Call& call, unsigned seed);

/// A spec without a model: the usual 1-D table with base 10000, or the angles computed from it, and
/// positions 0, 1, ...; with sections, these on the first axis, the reverse on the second, and half
/// as fast on the third, unless they are those of a grid. Segments are two halves. Of heads with
/// tables of their own each stands a row further than the one before.
Workload spec_workload(const Spec& spec, const Shape& shape, float eps, unsigned seed);

}  // namespace qkjit
