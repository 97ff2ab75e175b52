#include "tools/qkjit/tensor_file.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <span>

#include "op/check.hpp"
#include "spec/names.hpp"
#include "tools/qkjit/safetensors.hpp"
#include "tools/qkjit/workload_outputs.hpp"

namespace qkjit {
namespace {

struct Known {
  const char* name;
  const char* shape;
  qkjit_tensor qkjit_args::*field;
  Workload::Block block;
};
constexpr std::array<Known, 11> kKnown = {{
    {"q", "[tokens, heads_q, head_dim]", &qkjit_args::q, Workload::kQk},
    {"k", "[tokens, heads_k, head_dim]", &qkjit_args::k, Workload::kQk},
    {"v", "[tokens, heads_v, head_dim]", &qkjit_args::v, Workload::kQk},
    {"q_weight", "[head_dim] (norm_scope=token or weights=per_head: [heads_q * head_dim])",
     &qkjit_args::q_weight, Workload::kQWeight},
    {"k_weight", "[head_dim] (norm_scope=token or weights=per_head: [heads_k * head_dim])",
     &qkjit_args::k_weight, Workload::kKWeight},
    {"q_bias", "[head_dim] (weights=per_head: [heads_q * head_dim])", &qkjit_args::q_bias,
     Workload::kQBias},
    {"k_bias", "[head_dim] (weights=per_head: [heads_k * head_dim])", &qkjit_args::k_bias,
     Workload::kKBias},
    {"cos_sin_cache",
     "[rows, rope_dim] (twice that unless table_width=half; [rows, heads, ...] with "
     "table_heads=per_head; or 'cos' and 'sin')",
     &qkjit_args::cos_sin_cache, Workload::kTable},
    {"cos", "[rows, rope_dim/2] (rope_dim unless table_width=half)", &qkjit_args::cos,
     Workload::kTable},
    {"sin", "[rows, rope_dim/2] (rope_dim unless table_width=half)", &qkjit_args::sin,
     Workload::kTable},
    {"positions", "[3, tokens] I32 or I64", &qkjit_args::positions, Workload::kPositions},
}};

constexpr std::size_t kAlignment = 16;  // of every tensor in its block

using Tensors = std::vector<StoredTensor>;

const StoredTensor* find(const Tensors& tensors, std::string_view name) {
  const auto tensor = std::ranges::find(tensors, name, &StoredTensor::name);
  return tensor == tensors.end() ? nullptr : &*tensor;
}

/// A rotation needs the table, whole or as its two parts, a norm its weights and biases, and
/// sections positions.
bool is_needed(const Known& known, const Tensors& tensors, const Spec& spec) {
  const bool rotates = spec.rope_dim > 0;
  const bool apart = find(tensors, "cos") || find(tensors, "sin");
  switch (known.block) {
    case Workload::kQk:
      return known.field != &qkjit_args::v || spec.v == Values::copy;
    case Workload::kQWeight:
      return has_weight(spec, spec.q_norm);
    case Workload::kKWeight:
      return has_weight(spec, spec.k_norm);
    case Workload::kQBias:
      return has_bias(spec, spec.q_norm);
    case Workload::kKBias:
      return has_bias(spec, spec.k_norm);
    case Workload::kTable:
      return rotates && (known.field == &qkjit_args::cos_sin_cache ? !apart : apart);
    case Workload::kPositions:
      return rotates && has_sections(spec);
    case Workload::kPositionError:
    case Workload::kOutputs:
    case Workload::kBlockCount:
      break;
  }
  return false;
}

/// Names that are not known, and those that are missing.
Result<void> check_names(const Tensors& tensors, const Spec& spec) {
  std::string known, given;
  for (const Known& k : kKnown) known += fmt::format("{}{}", known.empty() ? "" : ", ", k.name);
  for (const StoredTensor& tensor : tensors) {
    given += fmt::format("{}{}", given.empty() ? "" : ", ", tensor.name);
    if (std::ranges::find(kKnown, tensor.name, &Known::name) != kKnown.end()) continue;
    return fail(Code::invalid_argument, "tensor '{}' is not known; known are {}", tensor.name,
                known);
  }
  for (const Known& k : kKnown) {
    if (!is_needed(k, tensors, spec) || find(tensors, k.name)) continue;
    return fail(Code::invalid_argument, "there is no tensor '{}' {}; there are: {}", k.name,
                k.shape, given);
  }
  return {};
}

/// The file says which kind of positions the call has.
Result<Positions> positions_kind(const StoredTensor* positions) {
  if (!positions) return Positions::implicit;
  if (positions->dtype == QKJIT_INT64) return Positions::int64;
  if (positions->dtype == QKJIT_INT32) return Positions::int32;
  return fail(Code::invalid_argument, "tensor 'positions' is {}: it must be I32 or I64",
              safetensors_name(positions->dtype));
}

/// The tensor's view, without its address.
Result<qkjit_tensor> view_of(const StoredTensor& tensor) {
  if (tensor.shape.empty() || tensor.shape.size() > 4) {
    return fail(Code::invalid_argument, "tensor '{}' has rank {}: it must be 1 to 4", tensor.name,
                tensor.shape.size());
  }
  qkjit_tensor view = QKJIT_TENSOR_INIT;
  view.dtype = tensor.dtype;
  view.rank = static_cast<std::int32_t>(tensor.shape.size());
  std::int64_t stride = 1;
  for (std::size_t i = tensor.shape.size(); i-- > 0;) {
    view.shape[i] = tensor.shape[i];
    view.strides[i] = stride;
    stride *= tensor.shape[i];
  }
  return view;
}

Result<Workload> make_workload(const Tensors& tensors, Spec spec, float eps) {
  if (spec.angles == Angles::computed) {
    return fail(Code::unsupported,
                "tensors hold no frequencies for angles=computed: use a table, or leave out "
                "--tensors");
  }
  const bool is_array = is_given_or_implicit(spec.positions);
  if (!is_array || spec.bounds == Bounds::checked) {
    return fail(Code::unsupported,
                "tensors hold positions for each token, and not {}: leave it out, or leave out "
                "--tensors",
                is_array ? "a place for bounds=checked"
                         : fmt::format("positions={}", name_of(spec.positions)));
  }
  const bool rotates = spec.rope_dim > 0;
  if (auto checked = check_names(tensors, spec); !checked) {
    return tl::unexpected(checked.error());
  }
  if (rotates) {
    const auto kind = positions_kind(find(tensors, "positions"));
    if (!kind) return tl::unexpected(kind.error());
    spec.positions = *kind;
  }

  Workload work;
  qkjit_args& args = work.args;
  args.spec = to_c(spec);
  args.eps = eps;
  std::array<std::size_t, kKnown.size()> offsets = {};
  for (std::size_t i = 0; i < kKnown.size(); ++i) {
    const Known& known = kKnown[i];
    const bool of_rotation = known.block == Workload::kTable || known.block == Workload::kPositions;
    const StoredTensor* tensor = find(tensors, known.name);
    if (!tensor || (of_rotation && !rotates)) continue;
    const auto view = view_of(*tensor);
    if (!view) return tl::unexpected(view.error());
    args.*known.field = *view;
    std::vector<std::byte>& block = work.blocks[known.block];
    block.resize((block.size() + kAlignment - 1) / kAlignment * kAlignment);
    offsets[i] = block.size();
    block.insert(block.end(), tensor->bytes.begin(), tensor->bytes.end());
  }
  for (std::size_t i = 0; i < kKnown.size(); ++i) {  // now that no block grows any more
    qkjit_tensor& tensor = args.*kKnown[i].field;
    if (tensor.rank > 0) tensor.data = work.blocks[kKnown[i].block].data() + offsets[i];
  }
  return work;
}

using Axes = std::span<const std::int64_t>;

/// Elements of so many bytes, one after another, that lie as a shape with byte strides.
void gather(const std::byte* from, std::size_t size, Axes shape, Axes strides,
            std::vector<std::byte>& to) {
  if (shape.empty()) return static_cast<void>(to.insert(to.end(), from, from + size));
  for (std::int64_t i = 0; i < shape.front(); ++i) {
    gather(from + i * strides.front(), size, shape.subspan(1), strides.subspan(1), to);
  }
}

StoredTensor gather(const char* name, const qkjit_tensor& view) {
  const auto rank = static_cast<std::size_t>(view.rank);
  const std::int64_t size = safetensors_size(view.dtype);
  std::vector<std::int64_t> strides(view.strides, view.strides + rank);
  for (std::int64_t& stride : strides) stride *= size;
  StoredTensor stored{name, view.dtype, {view.shape, view.shape + rank}, {}};
  gather(static_cast<const std::byte*>(view.data), static_cast<std::size_t>(size), stored.shape,
         strides, stored.bytes);
  return stored;
}

}  // namespace

Result<Workload> tensor_workload(const std::string& file, const Spec& spec, float eps) {
  const auto tensors = read_safetensors(file);
  if (!tensors) return tl::unexpected(tensors.error());
  auto work = make_workload(*tensors, spec, eps);
  if (!work) return fail(work.error().code, "{}: {}", file, work.error().message);
  work->name = "tensors";
  for (const auto& [tensor, given] : {std::pair{"q", &work->args.q}, {"k", &work->args.k}}) {
    if (given->rank == 3) continue;
    return fail(Code::invalid_argument, "{}: {} {}: [tokens, heads, head_dim] is needed", file,
                tensor,
                given->rank == 0 ? "is not given" : fmt::format("has rank {}", given->rank));
  }
  add_outputs(spec, *work);
  // Shapes and dtypes against the spec, and against each other; the message names the tensor.
  const auto op = check_args(work->args);
  if (!op) return fail(op.error().code, "{}: {}", file, op.error().message);
  if (auto checked = check_positions(*op); !checked) {
    return fail(checked.error().code, "{}: {}", file, checked.error().message);
  }
  return work;
}

Result<void> write_tensors(const std::string& file, const Workload& work) {
  const qkjit_args& args = work.args;
  const qkjit_tensor none = QKJIT_TENSOR_INIT;
  const auto result = [](const qkjit_tensor& out, const qkjit_tensor& in) -> const qkjit_tensor& {
    return out.data ? out : in;
  };
  const std::pair<const char*, const qkjit_tensor&> results[] = {
      {"q", result(args.q_out, args.q)},
      {"k", result(args.k_out, args.k_cache.data ? none : args.k)},
      {"v", args.v_out},
      {"k_cache", args.k_cache},
      {"v_cache", args.v_cache},
      {"slot_mapping", args.slot_mapping},
      {"q_scale", args.q_scale},
      {"k_scale", args.k_scale},
      {"v_scale", args.v_scale}};
  std::vector<StoredTensor> stored;
  for (const auto& [name, view] : results) {
    if (view.data) stored.push_back(gather(name, view));
  }
  return write_safetensors(file, stored);
}

}  // namespace qkjit
