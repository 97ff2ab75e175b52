// Builds a model's cos/sin table from its own axes and positions.
#pragma once

#include <cstdint>
#include <vector>

#include "tools/qkjit/model.hpp"
#include "util/error.hpp"

namespace qkjit {

/// [rows, rope_dim]: rope_dim/2 cosines, then rope_dim/2 sines, as cos_sin_cache wants them.
struct RopeTable {
  std::int64_t rows = 0;
  int rope_dim = 0;
  std::vector<float> values;
};

/// Pair i of an axis with d channels turns by position * theta^(-2i/d). Angles and functions are in
/// double and rounded once, to the table's `values` type; the models compute theirs in fp32 or
/// double, so their own tables can differ from this one in the last bits.
/// Unsupported: a table per head. `table` is one of the model's.
Result<RopeTable> build_rope_table(const Model& model, const Table& table);

/// Coordinates of a segment, one list per axis: as many as the run is long, or as the grid's
/// extent. None if the file states no positions.
std::vector<std::vector<double>> axis_coordinates(const Model& model, const Segment& segment);

}  // namespace qkjit
