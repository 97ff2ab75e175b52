// Builds a model's cos/sin table, see rope_table.hpp.
#include "tools/qkjit/rope_table.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>

namespace qkjit {
namespace {

/// The angle per unit of position of one pair, and the axis whose position it takes.
struct Pair {
  std::size_t axis;
  double frequency;
};

double frequency(double theta, int index, int channels) {
  return std::pow(theta, -2.0 * index / channels);
}

/// Axis after axis, or in turns until an axis has used up its channels and the first one takes over
/// (the interleaved order of Qwen3VLTextRotaryEmbedding.apply_interleaved_mrope).
std::vector<Pair> pairs_of(const Table& table, int rope_dim) {
  std::vector<Pair> pairs;
  if (table.axis_order == AxisOrder::concatenated) {
    for (std::size_t axis = 0; axis < table.axes.size(); ++axis) {
      for (int i = 0; i < table.axes[axis] / 2; ++i) {
        pairs.push_back({axis, frequency(table.theta, i, table.axes[axis])});
      }
    }
    return pairs;
  }
  const int axes = static_cast<int>(table.axes.size());
  for (int i = 0; i < rope_dim / 2; ++i) {
    const auto turn = static_cast<std::size_t>(i % axes);
    const bool used_up = i / axes >= table.axes[turn] / 2;
    pairs.push_back({used_up ? 0 : turn, frequency(table.theta, i, rope_dim)});
  }
  return pairs;
}

float round_to(double value, DType dtype) {
  const auto single = static_cast<float>(value);
  if (dtype == DType::fp32) return single;
  const auto bits = std::bit_cast<std::uint32_t>(single);
  const std::uint32_t half = 0x7fff + ((bits >> 16) & 1);  // to nearest, ties to even
  return std::bit_cast<float>((bits + half) & 0xffff0000u);
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
  for (double angle : angles) out.push_back(round_to(std::cos(angle), table.values));
  for (double angle : angles) out.push_back(round_to(std::sin(angle), table.values));
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

Result<RopeTable> build_rope_table(const Model& model, const Table& table) {
  if (table.per_head) {
    return fail(Code::unsupported, "table '{}' of model '{}': cos/sin tables per head", table.name,
                model.name);
  }
  RopeTable result;
  result.rope_dim = std::accumulate(table.axes.begin(), table.axes.end(), 0);
  const auto pairs = pairs_of(table, result.rope_dim);
  for (const auto& segment_name : table.segments) {
    const Segment& segment = model.segment(segment_name);
    const auto coordinates = axis_coordinates(model, segment);
    std::vector<std::size_t> index(coordinates.size(), 0);
    std::vector<double> position(coordinates.size());
    for (std::int64_t token = 0; token < segment.tokens(); ++token) {
      for (std::size_t axis = 0; axis < position.size(); ++axis) {
        position[axis] = coordinates[axis][index[axis]] * table.position_scale;
      }
      append_row(pairs, position, table, result.values);
      advance(index, segment.grid);
    }
    result.rows += segment.tokens();
  }
  return result;
}

}  // namespace qkjit
