// The arguments of the rotation: the table of cosines and sines, and the positions.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string_view>

#include "kernels/params.cuh"
#include "op/extent.hpp"
#include "op/frequencies.hpp"
#include "qkjit/qkjit.h"
#include "util/error.hpp"

namespace qkjit {

/// Memory that a call reads, by the name of its argument.
struct ReadOnly {
  std::string_view name;
  const void* data = nullptr;  ///< null: there is none
  Extent extent = {};

  friend bool operator==(const ReadOnly&, const ReadOnly&) = default;
};

/// How many tokens the sequences of a call have; a tensor that is not there has none.
struct Lengths {
  bool is_batched;  ///< tensors have a batch dimension
  std::int64_t batches, q, k;
  std::int64_t heads;  ///< the most that q or k has

  std::int64_t longest() const { return q > k ? q : k; }
};

/// Positions of q or k; strides count elements.
struct PositionView {
  ReadOnly memory;
  std::int64_t batch_stride = 0;  ///< 0 too if sequences share them
  std::int64_t axis_stride = 0;   ///< 0 with one axis

  friend bool operator==(const PositionView&, const PositionView&) = default;
};

/// All null and 0 without rotation.
struct Rotation {
  ReadOnly cosines, sines;
  PositionView q_positions, k_positions;  ///< the same, unless the call gives k's own
  std::int64_t table_rows = 0;
  std::int64_t table_row_bytes = 0;
  std::int64_t table_heads = 1;
  std::int64_t table_head_bytes = 0;  ///< from a head's table to the next; 0 if heads share one
  std::int64_t position_offset = 0;
  bool aligned = true;                                ///< the table lies on TableForm::alignment()
  std::shared_ptr<const AllFrequencies> frequencies;  ///< of computed angles
  PositionGrid grid = {};                             ///< of Positions::grid
  ReadOnly segment_offsets;                           ///< of Positions::segments
  unsigned segments = 0;
  ReadOnly position_error;  ///< of Bounds::checked, which only adds to what is there
};

/// Reads the structs only.
Result<Rotation> check_rotation(const qkjit_args& args, const Spec& spec, const Lengths& lengths);

/// Whether tokens of all sequences, one after another, have their positions one after another.
bool positions_fold(const Rotation& rotation, const Spec& spec, const Lengths& lengths);

}  // namespace qkjit
