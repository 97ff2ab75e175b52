// JSON text to Model: fields, then the references between them.
#include <algorithm>

#include "tools/qkjit/json_fields.hpp"
#include "tools/qkjit/model.hpp"
#include "tools/qkjit/model_internal.hpp"

namespace qkjit {
namespace {

using Json = Fields::Json;

constexpr Names<DType, 3> kDTypes = {
    {{"bf16", DType::bf16}, {"fp16", DType::fp16}, {"fp32", DType::fp32}}};
constexpr Names<Layout, 2> kLayouts = {
    {{"interleaved", Layout::interleaved}, {"neox", Layout::neox}}};
constexpr Names<Rounding, 7> kRoundings = {{{"fused", Rounding::fused},
                                            {"split", Rounding::split},
                                            {"eager", Rounding::eager},
                                            {"hf", Rounding::hf},
                                            {"late_weight", Rounding::late_weight},
                                            {"hf_eager", Rounding::hf_eager},
                                            {"late_weight_eager", Rounding::late_weight_eager}}};
constexpr Names<Positions, 3> kPositions = {
    {{"int64", Positions::int64}, {"int32", Positions::int32}, {"implicit", Positions::implicit}}};
constexpr Names<NormKind, 4> kNorms = {{{"rms_per_head", NormKind::rms_per_head},
                                        {"layer_per_head", NormKind::layer_per_head},
                                        {"rms_across_heads", NormKind::rms_across_heads},
                                        {"none", NormKind::none}}};
constexpr Names<Weight, 3> kWeightForms = {
    {{"plain", Weight::plain}, {"one_plus", Weight::one_plus}, {"none", Weight::none}}};
constexpr Names<WeightDType, 3> kWeightDTypes = {
    {{"bf16", WeightDType::bf16}, {"fp16", WeightDType::fp16}, {"fp32", WeightDType::fp32}}};
constexpr Names<NormOrder, 2> kNormOrders = {
    {{"before", NormOrder::before}, {"after", NormOrder::after}}};
constexpr Names<AxisOrder, 2> kAxisOrders = {
    {{"concatenated", AxisOrder::concatenated}, {"interleaved", AxisOrder::interleaved}}};
constexpr Names<Spacing, 2> kSpacings = {
    {{"falling", Spacing::falling}, {"rising", Spacing::rising}}};
constexpr Names<TableBy, 2> kTableRows = {
    {{"token", TableBy::token}, {"position", TableBy::position}}};
constexpr Names<TableWidth, 3> kTableWidths = {
    {{"half", TableWidth::half}, {"full", TableWidth::full}, {"elements", TableWidth::elements}}};
constexpr Names<RopePlacement, 2> kPlacements = {
    {{"head", RopePlacement::head}, {"tail", RopePlacement::tail}}};

constexpr std::int64_t kMaxDim = 1024, kMaxHeads = 4096, kMaxBlocks = 10000;

Attention read_attention(Fields in) {
  Attention out;
  out.name = in.text("name");
  out.head_dim = static_cast<int>(in.integer("head_dim", 1, kMaxDim));
  out.heads_q = static_cast<int>(in.integer("heads_q", 1, kMaxHeads));
  out.heads_k = static_cast<int>(in.integer("heads_k", 1, kMaxHeads));
  out.dtype = in.choice("dtype", kDTypes);
  out.rounding = in.choice("rounding", kRoundings);
  out.norm = in.choice("norm", kNorms);
  if (out.norm != NormKind::none) {
    out.eps = in.positive("eps");
    out.weight_form = in.choice("weight_form", kWeightForms);
    out.weights_per_head = in.flag_or("weights_per_head", false);
    if (in.flag_or("bias", false)) out.bias = Bias::yes;
    if (out.bias == Bias::yes && out.norm != NormKind::layer_per_head) {
      in.bad("bias", "needs norm layer_per_head");
    }
    if (in.has("weight_dtype")) out.weight_dtype = in.choice("weight_dtype", kWeightDTypes);
    if (in.has("norm_order")) out.norm_order = in.choice("norm_order", kNormOrders);
  }
  out.layout = in.choice("layout", kLayouts);
  out.rope_dim = static_cast<int>(in.integer("rope_dim", 0, out.head_dim));
  if (out.rope_dim % 2 != 0) in.bad("rope_dim", "must be even");
  if (in.has("placement")) out.placement = in.choice("placement", kPlacements);
  in.finish();
  return out;
}

/// `start` has one entry per axis: a number, or the segment after whose largest coordinate it lies.
std::vector<Axis> read_axes(Fields& in) {
  std::vector<Axis> axes;
  for (const auto& start : in.need_list("start")) {
    Axis axis;
    if (start.is_string()) {
      axis.after = start.get<std::string>();
    } else if (start.is_number()) {
      axis.start = start.get<double>();
    } else {
      in.bad("start", "must be a list of numbers and segment names");
    }
    axes.push_back(axis);
  }
  if (in.has("step")) {
    const auto& steps = in.need_list("step");
    if (steps.size() != axes.size()) in.bad("step", "must have as many entries as 'start'");
    for (std::size_t i = 0; i < axes.size(); ++i) {
      const Json list = steps[i].is_array() ? steps[i] : Json::array({steps[i]});
      const bool numbers = std::ranges::all_of(list, [](const Json& x) { return x.is_number(); });
      if (list.empty() || !numbers) in.bad("step", "must hold numbers or lists of numbers");
      axes[i].steps = list.get<std::vector<double>>();
    }
  }
  if (in.has("centred")) {
    const auto& flags = in.need_list("centred");
    if (flags.size() != axes.size()) in.bad("centred", "must have as many entries as 'start'");
    for (std::size_t i = 0; i < axes.size(); ++i) {
      if (!flags[i].is_boolean()) in.bad("centred", "must be a list of true and false");
      axes[i].centred = flags[i].get<bool>();
    }
  }
  return axes;
}

Segment read_segment(Fields in) {
  Segment out;
  out.name = in.text("name");
  if (in.has("run") == in.has("grid")) in.bad("run", "or 'grid' must be given, and not both");
  if (in.has("start")) out.axes = read_axes(in);
  if (in.has("run")) {
    out.run = in.integer("run", 1, kMaxTokens);
  } else {
    std::int64_t most = kMaxTokens;
    for (const auto& entry : in.need_list("grid")) {
      const auto extent = entry.is_number_integer() ? entry.get<std::int64_t>() : 0;
      if (extent < 1 || extent > most) {
        in.bad("grid", fmt::format("must hold positive integers of product <= {}", kMaxTokens));
      }
      most /= extent;
      out.grid.push_back(extent);
    }
    if (!out.axes.empty() && out.axes.size() != out.grid.size()) {
      in.bad("grid", "must have as many entries as 'start'");
    }
  }
  in.finish();
  return out;
}

/// One number for all axes, or a list with one for each.
std::vector<double> read_thetas(Fields& in, std::size_t axes) {
  const Json& theta = in.need("theta");
  const Json list = theta.is_array() ? theta : Json(axes, theta);
  const auto is_base = [](const Json& x) { return x.is_number() && x.get<double>() > 0; };
  if (list.size() != axes || !std::ranges::all_of(list, is_base)) {
    in.bad("theta", "must be a positive number, or one for each axis");
  }
  return list.get<std::vector<double>>();
}

Table read_table(Fields in) {
  Table out;
  out.name = in.text("name");
  for (const auto& entry : in.need_list("axes")) {
    const auto channels = entry.is_number_integer() ? entry.get<std::int64_t>() : -1;
    if (channels < 0 || channels > kMaxHeads * kMaxDim || channels % 2 != 0) {
      in.bad("axes", "must hold even numbers of channels, 0 or more");
    }
    out.axes.push_back(static_cast<int>(channels));
  }
  out.thetas = read_thetas(in, out.axes.size());
  out.axis_order = in.choice("axis_order", kAxisOrders);
  if (in.has("frequencies")) out.frequencies = in.choice("frequencies", kSpacings);
  if (in.has("unturned")) {
    out.unturned = static_cast<int>(in.integer("unturned", 0, kMaxHeads * kMaxDim));
  }
  if (in.has("rows")) out.rows = in.choice("rows", kTableRows);
  if (in.has("values")) out.values = in.choice("values", kDTypes);
  if (in.has("width")) out.width = in.choice("width", kTableWidths);
  out.position_scale = in.positive_or("position_scale", 1);
  out.per_head = in.flag_or("per_head", false);
  out.segments = in.texts("segments");
  in.finish();
  return out;
}

PackedView read_view(Fields in) {
  PackedView out;
  out.row_stride = in.integer("row_stride", 1, kMaxTokens);
  out.q_offset = in.integer("q_offset", 0, kMaxTokens);
  out.k_offset = in.integer("k_offset", 0, kMaxTokens);
  in.finish();
  return out;
}

/// A call; of cross attention two, `name.q` and `name.k`.
std::vector<Call> read_call(Fields in) {
  Call out;
  out.name = in.text("name");
  out.repeat = static_cast<int>(in.integer("repeat", 1, kMaxBlocks));
  out.attention = in.text("attention");
  out.weights = in.text_or("weights", "");
  out.table = in.text_or("table", "");
  out.segments = in.texts("segments");
  if (in.has("positions")) out.positions = in.choice("positions", kPositions);
  if (in.has("view")) {
    out.view = read_view(Fields(in.need("view"), fmt::format("call '{}': view", out.name)));
  }
  if (!in.has("k_segments")) {
    in.finish();
    return {out};
  }
  if (out.view) in.bad("view", "is of q and k with the same tokens: leave it or 'k_segments' out");
  Call k = out;
  k.side = Side::k;
  k.name += ".k";
  k.table = in.text_or("k_table", "");
  k.segments = in.texts("k_segments");
  out.side = Side::q;
  out.name += ".q";
  in.finish();
  return {out, k};
}

template <class Read>
auto read_list(Fields& in, const char* name, Read read) {
  std::vector<decltype(read(in))> out;
  for (const auto& entry : in.need_list(name)) {
    out.push_back(read(Fields(entry, fmt::format("{}[{}]", name, out.size()))));
  }
  return out;
}

Model read_model(Fields in) {
  Model out;
  out.name = in.text("name");
  out.title = in.text("title");
  out.attentions = read_list(in, "attentions", read_attention);
  out.segments = read_list(in, "segments", read_segment);
  const Json& tables = in.need("tables");  // none where nothing is rotated
  if (!tables.is_array() || !tables.empty()) out.tables = read_list(in, "tables", read_table);
  for (auto& calls : read_list(in, "calls", read_call)) {
    std::ranges::move(calls, std::back_inserter(out.calls));
  }
  for (const auto& [fact, source] : in.need_object("sources").items()) {
    if (!source.is_string()) in.bad("sources", fmt::format("has no text for '{}'", fact));
    out.sources.emplace_back(fact, source.get<std::string>());
  }
  if (in.has("uncertain")) out.uncertain = in.texts("uncertain");
  in.finish();
  return out;
}

}  // namespace

Result<Model> parse_model(std::string_view json) {
  try {
    const Json document = parse_json_strictly(json);
    Model model = read_model(Fields(document, "model"));
    if (auto result = check_references(model); !result) {
      return fail(Code::invalid_argument, "model '{}': {}", model.name, result.error().message);
    }
    place_calls(model);
    return model;
  } catch (const BadField& error) {
    return fail(Code::invalid_argument, "{}", error.what());
  } catch (const Json::exception& error) {
    return fail(Code::invalid_argument, "not JSON: {}", error.what());
  }
}

}  // namespace qkjit
