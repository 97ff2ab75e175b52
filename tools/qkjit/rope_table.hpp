// Builds a model's cos/sin table from its own axes and positions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "tools/qkjit/model.hpp"
#include "util/error.hpp"

namespace qkjit {

/// [rows, rope_dim]: rope_dim/2 cosines, then rope_dim/2 sines. Of a table per head, rope_dim is
/// that of all heads, and the cosines are head after head, as are the sines.
struct RopeTable {
  std::int64_t rows = 0;
  int rope_dim = 0;
  std::vector<float> values;
  /// [3, tokens]: the rows that tokens take from a table by position; empty for a table by token,
  /// which has a row for each.
  std::vector<std::int64_t> positions;
};

/// The table as a tensor's bytes, [rows, rope_dim], or [rows, 2 * rope_dim] if it is wider: in the
/// spec's table dtype and width. With table_width=elements each value is there twice, one after the
/// other, as ERNIE-Image has it. Of a table per head, each head's values are widened by themselves.
std::vector<std::byte> table_bytes(const Spec& spec, const RopeTable& table);

/// Pair i of an axis with d channels turns by position * theta^(-2i/d), or with rising frequencies
/// by position * pi/2 * theta^(i/(d/2-1)). Angles and functions are in double and rounded once, to
/// the table's `values` type; the models compute theirs in fp32 or double, so their own tables can
/// differ from this one in the last bits. Invalid: a table by position whose tokens stand between
/// positions. `table` is one of the model's.
Result<RopeTable> build_rope_table(const Model& model, const Table& table);

/// Coordinates of a segment, one list per axis: as many as the run is long, or as the grid's
/// extent. None if the file states no positions.
std::vector<std::vector<double>> axis_coordinates(const Model& model, const Segment& segment);

}  // namespace qkjit
