// A real model's calls of the operation: the plain data of one models/*.json (models/README.md has
// the schema) and what each call asks of the library. Knows no model by name.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kernels/spec.cuh"
#include "util/error.hpp"

namespace qkjit {

/// Far above any model, far below where a byte count could overflow.
inline constexpr std::int64_t kMaxTokens = std::int64_t{1} << 26;

enum class NormKind { rms_per_head, layer_per_head, rms_across_heads, none };

/// How the pairs of a head are dealt to the position axes: axis after axis, each with frequencies
/// over its own channels, or in turns (t, h, w, t, h, w, ...) with frequencies over rope_dim.
enum class AxisOrder { concatenated, interleaved };

/// How fast the pairs of an axis with n of them turn, pair i of them: theta^(-i/n), or rising from
/// pi/2 to theta * pi/2 as pi/2 * theta^(i/(n-1)) (LTX-2).
enum class Spacing { falling, rising };

/// What a row of a table is for: a token, or a position that tokens have on some axis (mrope, with
/// positions [3, tokens]).
enum class TableBy { token, position };

/// What one kind of attention in the model normalises and rotates.
struct Attention {
  std::string name;
  int head_dim = 0, heads_q = 0, heads_k = 0;
  DType dtype = DType::bf16;
  Rounding rounding = Rounding::fused;
  double eps = 0;
  NormKind norm = NormKind::rms_per_head;
  Weight weight_form = Weight::plain;
  bool weights_per_head = false;  ///< [heads, head_dim] instead of [head_dim]
  Bias bias = Bias::no;
  WeightDType weight_dtype = WeightDType::same;
  NormOrder norm_order = NormOrder::before;
  Layout layout = Layout::interleaved;
  int rope_dim = 0;
  RopePlacement placement = RopePlacement::head;
};

/// Coordinates of a segment along one position axis: the first is `start`, or one past the largest
/// coordinate of the segment `after`, or -ceil(extent/2) when centred; steps repeat cyclically.
struct Axis {
  double start = 0;
  std::string after;
  bool centred = false;
  std::vector<double> steps = {1};
};

/// Neighbouring tokens: a run, or a row-major grid with one extent per axis.
struct Segment {
  std::string name;
  std::int64_t run = 0;            ///< 0 for a grid
  std::vector<std::int64_t> grid;  ///< empty for a run
  std::vector<Axis> axes;          ///< empty: the file states no positions

  std::int64_t tokens() const;
};

/// One cos/sin table: the rows of its segments, one after another, or rows by position.
struct Table {
  std::string name;
  std::vector<int> axes;       ///< rotated channels of each position axis
  std::vector<double> thetas;  ///< of each axis
  AxisOrder axis_order = AxisOrder::concatenated;
  Spacing frequencies = Spacing::falling;
  int unturned = 0;  ///< pairs before all others that do not turn
  TableBy rows = TableBy::token;
  DType values = DType::fp32;  ///< as the table is stored
  TableWidth width = TableWidth::half;
  double position_scale = 1;  ///< multiplies every coordinate (linear context extension)
  bool per_head = false;      ///< the axes' channels are those of all heads, one after another
  std::vector<std::string> segments;
};

/// q and k as views of one projection [tokens, row_stride]; counts elements. Heads are contiguous.
struct PackedView {
  std::int64_t row_stride = 0, q_offset = 0, k_offset = 0;
};

/// What a call takes. Cross attention has tokens of its own for k, so it takes q and k one by one.
enum class Side { both, q, k };

/// One call of the operation, made `repeat` times per forward pass (once per block).
struct Call {
  std::string name;
  int repeat = 1;
  std::string attention;
  std::string weights;                ///< weight set, e.g. "norm_added"; empty without weights
  std::string table;                  ///< empty: norm only
  std::vector<std::string> segments;  ///< the tokens; neighbours in the table
  Side side = Side::both;
  Positions positions = Positions::implicit;  ///< an array holds 0 .. tokens-1
  std::optional<PackedView> view;             ///< empty: q and k are contiguous

  int heads_q = 0, heads_k = 0;  ///< 0 for the side that the call does not take
  std::int64_t tokens = 0;
  std::int64_t position_offset = 0;  ///< table row of the first token
};

struct Model {
  std::string name, title;
  std::vector<Attention> attentions;
  std::vector<Segment> segments;
  std::vector<Table> tables;
  std::vector<Call> calls;  ///< in the order in which the model makes them
  std::vector<std::pair<std::string, std::string>> sources;  ///< fact, public source
  std::vector<std::string> uncertain;

  /// For the names in calls, tables and axes, which parse_model has checked. Any other aborts.
  const Attention& attention(std::string_view name) const;
  const Segment& segment(std::string_view name) const;
  const Table& table(std::string_view name) const;
};

/// Strict: invalid_argument names the unknown, missing, repeated or bad field and where it is.
Result<Model> parse_model(std::string_view json);

/// The same pattern at about `tokens` tokens. With f = tokens / (tokens of the longest call), every
/// run becomes f times as long and every grid axis longer than 1 is scaled by f^(1/number of such
/// axes), each rounded to at least 1. Nothing else changes; `after` starts follow.
Result<Model> with_tokens(const Model& model, std::int64_t tokens);

/// What a call asks of the library.
Spec spec_of(const Model& model, const Call& call);

}  // namespace qkjit
