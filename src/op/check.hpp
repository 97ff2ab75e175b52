// The arguments of a call, checked completely before anything is touched.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string_view>

#include "kernels/frequencies.cuh"
#include "kernels/params.cuh"
#include "op/outputs.hpp"
#include "qkjit/qkjit.h"
#include "spec/path.hpp"
#include "spec/support.hpp"
#include "util/error.hpp"

namespace qkjit {

/// A call that may be run.
struct Operation {
  Spec spec;
  Support support;
  Params params;        ///< row_count 0: nothing to do
  ValueRows v;          ///< without rows unless the spec has Values::copy; first_slice is not set
  Batches batches;      ///< of one sequence, if is_folded
  bool is_folded;       ///< batches are tokens of one sequence that q and k share
  std::int64_t tokens;  ///< that are numbered: of all sequences, of the longer of q and k
  std::int64_t table_rows;
  std::int64_t table_heads;                     ///< that have tables of their own, or 1
  std::array<std::string_view, 2> table_names;  ///< of the arguments with cosines and with sines
  bool aligned_rows;  ///< every row of q, k, their outputs, weights and biases lies on 16 bytes
  bool aligned;       ///< and the table as TableForm asks: what the fused kernel needs
  bool takes_bulk;    ///< heads follow one another, in and out, and a block has room for those of a
                      ///< token where it stages them all
  std::uint64_t bytes;  ///< of q, k and v
  Path requested;
  std::shared_ptr<const AllFrequencies> frequencies;  ///< of computed angles; null with a table
  Outputs outputs = {};                               ///< of nothing unless has_other_outputs()
  std::array<ScaleView, 3> scales = {};               ///< those of `outputs`: of q, k and V
  SlotView slots = {};

  unsigned sequences() const { return static_cast<unsigned>(tokens) / batches.tokens; }
  std::int64_t k_tokens() const { return std::int64_t{sequences()} * batches.k.tokens; }
  /// Null if batches fold.
  const Batches* batches_apart() const { return is_folded ? nullptr : &batches; }
};

/// The spec of the C interface, in range and normalised; and the way back.
Result<Spec> to_spec(const qkjit_spec& spec);
qkjit_spec to_c(const Spec& spec);

/// Reads the structs only, no tensor's memory. Code::invalid_argument names the argument that is
/// wrong, with what was given, what is needed and what to do.
Result<Operation> check_args(const qkjit_args& args);

/// Every position must name a row of the table, and where angles are computed be a number of 63
/// bits with the offset; for host memory, where positions can be read.
Result<void> check_positions(const Operation& op);

}  // namespace qkjit
