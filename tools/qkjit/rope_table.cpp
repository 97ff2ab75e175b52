// Builds a model's cos/sin table, see rope_table.hpp.
#include "tools/qkjit/rope_table.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>

#include "kernels/dtype.cuh"
#include "util/float_environment.hpp"

namespace qkjit {
namespace {

/// The angle per unit of position of one pair, and the axis whose position it takes.
struct Pair {
  std::size_t axis;
  double frequency;
};

double frequency(const Table& table, std::size_t axis, int index, int channels) {
  const double theta = table.thetas[axis];
  if (table.frequencies == Spacing::falling) return std::pow(theta, -2.0 * index / channels);
  return std::numbers::pi / 2 * std::pow(theta, index / std::max(1.0, channels / 2 - 1.0));
}

/// Axis after axis, or in turns until an axis has used up its channels and the first one takes over
/// (the interleaved order of Qwen3VLTextRotaryEmbedding.apply_interleaved_mrope). Rising
/// frequencies are in either order those of the axis alone.
std::vector<Pair> pairs_of(const Table& table) {
  std::vector<Pair> pairs(static_cast<std::size_t>(table.unturned), Pair{0, 0});
  if (table.axis_order == AxisOrder::concatenated) {
    for (std::size_t axis = 0; axis < table.axes.size(); ++axis) {
      for (int i = 0; i < table.axes[axis] / 2; ++i) {
        pairs.push_back({axis, frequency(table, axis, i, table.axes[axis])});
      }
    }
    return pairs;
  }
  const int axes = static_cast<int>(table.axes.size());
  const int channels = std::accumulate(table.axes.begin(), table.axes.end(), 0);
  const bool rising = table.frequencies == Spacing::rising;
  for (int i = 0; i < channels / 2; ++i) {
    const auto turn = static_cast<std::size_t>(i % axes);
    const bool used_up = i / axes >= table.axes[turn] / 2;
    const std::size_t axis = used_up ? 0 : turn;
    pairs.push_back({axis, rising ? frequency(table, axis, i / axes, table.axes[axis])
                                  : frequency(table, axis, i, channels)});
  }
  return pairs;
}

template <DType kDType>
void append(float value, std::vector<std::byte>& to) {
  const typename Format<kDType>::Storage stored = Format<kDType>::store(value);
  const auto* bytes = reinterpret_cast<const std::byte*>(&stored);
  to.insert(to.end(), bytes, bytes + sizeof(stored));
}

void append(DType dtype, float value, std::vector<std::byte>& to) {
  if (dtype == DType::bf16) append<DType::bf16>(value, to);
  if (dtype == DType::fp16) append<DType::fp16>(value, to);
  if (dtype == DType::fp32) append<DType::fp32>(value, to);
}

float rounded(double value, DType dtype) {
  const auto single = static_cast<float>(value);
  if (dtype == DType::bf16) return round_to<DType::bf16>(single);
  if (dtype == DType::fp16) return round_to<DType::fp16>(single);
  return single;
}

/// One past the largest coordinate: where the next segment starts.
double end_of(const Model& model, const Segment& segment) {
  double largest = -HUGE_VAL;
  for (const auto& axis : axis_coordinates(model, segment)) {
    largest = std::max(largest, *std::ranges::max_element(axis));
  }
  return largest + 1;
}

void append_row(const std::vector<Pair>& pairs, const std::vector<double>& position,
                const Table& table, std::vector<float>& out) {
  std::vector<double> angles;
  for (const auto& pair : pairs) angles.push_back(position[pair.axis] * pair.frequency);
  for (double angle : angles) out.push_back(rounded(std::cos(angle), table.values));
  for (double angle : angles) out.push_back(rounded(std::sin(angle), table.values));
}

/// To the next token: all axes of a run move together, of a grid the last one moves fastest.
void advance(std::vector<std::size_t>& index, const std::vector<std::int64_t>& grid) {
  if (grid.empty()) {
    for (auto& i : index) ++i;
    return;
  }
  for (std::size_t axis = grid.size(); axis-- > 0;) {
    if (++index[axis] < static_cast<std::size_t>(grid[axis])) return;
    index[axis] = 0;
  }
}

}  // namespace

std::vector<std::vector<double>> axis_coordinates(const Model& model, const Segment& segment) {
  std::vector<std::vector<double>> result;
  for (std::size_t a = 0; a < segment.axes.size(); ++a) {
    const Axis& axis = segment.axes[a];
    const std::int64_t extent = segment.grid.empty() ? segment.run : segment.grid[a];
    double at = axis.after.empty() ? axis.start : end_of(model, model.segment(axis.after));
    if (axis.centred) at = -static_cast<double>(extent - extent / 2);
    std::vector<double> coordinates;
    for (std::int64_t i = 0; i < extent; ++i) {
      coordinates.push_back(at);
      at += axis.steps[static_cast<std::size_t>(i) % axis.steps.size()];
    }
    result.push_back(std::move(coordinates));
  }
  return result;
}

namespace {

/// Calls `visit` with the position of every token of the table's segments, one number an axis.
template <class Visit>
void for_each_token(const Model& model, const Table& table, Visit visit) {
  for (const auto& segment_name : table.segments) {
    const Segment& segment = model.segment(segment_name);
    const auto coordinates = axis_coordinates(model, segment);
    std::vector<std::size_t> index(coordinates.size(), 0);
    std::vector<double> position(coordinates.size());
    for (std::int64_t token = 0; token < segment.tokens(); ++token) {
      for (std::size_t axis = 0; axis < position.size(); ++axis) {
        position[axis] = coordinates[axis][index[axis]] * table.position_scale;
      }
      visit(position);
      advance(index, segment.grid);
    }
  }
}

/// Row p has the angles of position p on every axis, up to the largest that a token has.
Result<RopeTable> build_by_position(const Model& model, const Table& table, RopeTable result) {
  std::vector<std::vector<std::int64_t>> axes(table.axes.size());
  bool whole = true;
  for_each_token(model, table, [&](const std::vector<double>& position) {
    for (std::size_t axis = 0; axis < axes.size(); ++axis) {
      const auto row = static_cast<std::int64_t>(position[axis]);
      whole = whole && row >= 0 && static_cast<double>(row) == position[axis];
      axes[axis].push_back(row);
      result.rows = std::max(result.rows, row + 1);
    }
  });
  if (!whole) {
    return fail(Code::invalid_argument,
                "table '{}' of model '{}': rows by position need whole positions from 0 on; state "
                "others, or use rows by token",
                table.name, model.name);
  }
  for (const auto& axis : axes) {
    result.positions.insert(result.positions.end(), axis.begin(), axis.end());
  }
  const auto pairs = pairs_of(table);
  for (std::int64_t row = 0; row < result.rows; ++row) {
    const std::vector<double> everywhere(axes.size(), static_cast<double>(row));
    append_row(pairs, everywhere, table, result.values);
  }
  return result;
}

}  // namespace

Result<RopeTable> build_rope_table(const Model& model, const Table& table) {
  RopeTable result;
  result.rope_dim = std::accumulate(table.axes.begin(), table.axes.end(), 2 * table.unturned);
  if (table.rows == TableBy::position) return build_by_position(model, table, std::move(result));
  const auto pairs = pairs_of(table);
  for_each_token(model, table, [&](const std::vector<double>& position) {
    append_row(pairs, position, table, result.values);
    ++result.rows;
  });
  return result;
}

std::vector<std::byte> table_bytes(const Spec& spec, const RopeTable& table) {
  const FloatEnvironment ieee;
  const bool full = spec.table_width != TableWidth::half;
  const bool each_twice =
      full && (spec.layout == Layout::interleaved || spec.table_width == TableWidth::elements);
  const int half = spec.rope_dim / 2, heads = table.rope_dim / spec.rope_dim;
  std::vector<std::byte> bytes;
  // A row's cosines and its sines in turns, each head after head
  for (std::int64_t part = 0; part < 2 * table.rows * heads; ++part) {
    const float* values = table.values.data() + part * half;
    for (int i = 0; i < (full ? 2 * half : half); ++i) {
      append(spec.table, values[each_twice ? i / 2 : i % half], bytes);
    }
  }
  return bytes;
}

}  // namespace qkjit
