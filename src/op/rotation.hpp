// The arguments of the rotation: the table of cosines and sines, and the positions.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string_view>

#include "kernels/spec.cuh"
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
};

/// All null and 0 without rotation.
struct Rotation {
  ReadOnly cosines, sines, positions;
  std::int64_t table_rows = 0;
  std::int64_t table_row_bytes = 0;
  std::int64_t position_axis_stride = 0;  ///< elements; 0 with one axis
  std::int64_t position_offset = 0;
  bool aligned = true;                                ///< the table lies on TableForm::alignment()
  std::shared_ptr<const AllFrequencies> frequencies;  ///< of computed angles
};

/// Reads the structs only. `tokens` are those of q.
Result<Rotation> check_rotation(const qkjit_args& args, const Spec& spec, std::int64_t tokens);

}  // namespace qkjit
