#include "tools/qkjit/workload.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <numeric>
#include <random>
#include <span>

#include "kernels/dtype.cuh"
#include "op/check.hpp"
#include "tools/qkjit/workload_outputs.hpp"
#include "util/float_environment.hpp"

namespace qkjit {
namespace {

/// Independent normal values, rounded to the dtype. The generator and its transformation are
/// spelled out (Box-Muller), because std::normal_distribution differs between standard libraries.
class NormalSource {
 public:
  explicit NormalSource(unsigned seed) : generator_(seed) {}

  template <DType kDType>
  void fill(std::vector<std::byte>& block, float mean, float deviation) {
    using F = Format<kDType>;
    using Storage = typename F::Storage;
    for (std::size_t i = 0; i < block.size(); i += sizeof(Storage)) {
      const Storage value = F::store(mean + deviation * next());
      std::memcpy(block.data() + i, &value, sizeof(value));
    }
  }

  void fill(DType dtype, std::vector<std::byte>& block, float mean, float deviation) {
    if (dtype == DType::bf16) fill<DType::bf16>(block, mean, deviation);
    if (dtype == DType::fp16) fill<DType::fp16>(block, mean, deviation);
    if (dtype == DType::fp32) fill<DType::fp32>(block, mean, deviation);
  }

 private:
  float next() {
    if (!std::isnan(spare_)) return std::exchange(spare_, std::nanf(""));
    const float u = (static_cast<float>(generator_() >> 8) + 1) * 0x1p-24f;
    const float v = static_cast<float>(generator_() >> 8) * 0x1p-24f;
    const float radius = std::sqrt(-2 * std::log(u));
    spare_ = radius * std::sin(6.2831853f * v);
    return radius * std::cos(6.2831853f * v);
  }

  std::mt19937 generator_;
  float spare_ = std::nanf("");
};

std::vector<std::byte> positions_block(Positions kind, std::span<const std::int64_t> values) {
  std::vector<std::byte> block;
  const std::size_t size = kind == Positions::int64 ? 8 : 4;  // the low bytes come first
  for (const std::int64_t value : values) {
    const auto* bytes = reinterpret_cast<const std::byte*>(&value);
    block.insert(block.end(), bytes, bytes + size);
  }
  return block;
}

/// Tokens as frames, rows and columns, as near to a cube as their number allows.
qkjit_grid grid_of(std::int64_t tokens) {
  const auto largest_divisor = [](std::int64_t n, double most) {
    std::int64_t largest = 1;
    for (std::int64_t i = 2; static_cast<double>(i) <= most; ++i)
      largest = n % i == 0 ? i : largest;
    return largest;
  };
  const std::int64_t frames = largest_divisor(tokens, std::cbrt(tokens));
  const std::int64_t height = largest_divisor(tokens / frames, std::sqrt(tokens / frames));
  return {{frames, height, tokens / frames / height}, {0, 0, 0}};
}

/// The table, of which each row has its cosines and then its sines; with heads of their own, those
/// are two tensors.
void add_table(const Spec& spec, const RopeTable& table, Workload& work) {
  auto& block = work.blocks[Workload::kTable] = table_bytes(spec, table);
  const auto type = static_cast<qkjit_dtype>(spec.table);
  const int width = table.rope_dim * (spec.table_width == TableWidth::half ? 1 : 2);
  if (!has_head_tables(spec)) {
    work.args.cos_sin_cache = qkjit_tensor_2d(block.data(), type, table.rows, width);
    return;
  }
  const int heads = table.rope_dim / spec.rope_dim;
  const auto half = static_cast<std::size_t>(width / 2 * size_of(spec.table));
  work.args.cos = qkjit_tensor_3d(block.data(), type, table.rows, heads, width / 2 / heads);
  work.args.cos.strides[0] = width;
  work.args.sin = work.args.cos;
  work.args.sin.data = block.data() + half;
}

/// Two segments, each from position 0 on.
void add_segments(std::int64_t tokens, Workload& work) {
  const std::int64_t values[] = {0, tokens / 2, tokens, 0, 0};
  auto& block = work.blocks[Workload::kPositions] = positions_block(Positions::int32, values);
  work.args.positions = qkjit_tensor_1d(block.data(), QKJIT_INT32, 3);
  work.args.segment_offsets = qkjit_tensor_1d(block.data() + 12, QKJIT_INT32, 2);
}

/// Room for the number of a token outside the table; none so far.
void add_position_error(Workload& work) {
  auto& block = work.blocks[Workload::kPositionError] =
      positions_block(Positions::int32, std::array<std::int64_t, 1>{-1});
  work.args.position_error = qkjit_tensor_1d(block.data(), QKJIT_INT32, 1);
}

/// The positions of the call's tokens, and their tensor.
void add_positions(const Spec& spec, const RopeTable& table, std::int64_t first_token,
                   const Shape& shape, Workload& work) {
  const std::int64_t tokens = shape.tokens;
  const std::int64_t sequences = std::max<std::int64_t>(1, shape.batches);
  const qkjit_dtype type = spec.positions == Positions::int64 ? QKJIT_INT64 : QKJIT_INT32;
  const bool three = has_sections(spec);
  std::vector<std::int64_t> counted(static_cast<std::size_t>(tokens));
  std::iota(counted.begin(), counted.end(), std::int64_t{0});
  std::vector<std::int64_t> values;
  const auto all = static_cast<std::int64_t>(table.positions.size()) / 3;
  for (int axis = 0; axis < (three ? 3 : 1); ++axis) {
    const auto first =
        three ? table.positions.begin() + axis * all + first_token : counted.cbegin();
    for (std::int64_t i = 0; i < sequences; ++i) {
      values.insert(values.end(), first, first + tokens);
    }
  }
  auto& block = work.blocks[Workload::kPositions] = positions_block(spec.positions, values);
  if (shape.batches == 0) {
    work.args.positions = three ? qkjit_tensor_2d(block.data(), type, 3, tokens)
                                : qkjit_tensor_1d(block.data(), type, tokens);
  } else {
    work.args.positions = three ? qkjit_tensor_3d(block.data(), type, 3, sequences, tokens)
                                : qkjit_tensor_2d(block.data(), type, sequences, tokens);
  }
}

}  // namespace

qkjit_args Workload::args_at(const Bases& bases) const {
  const auto moved = [&](qkjit_tensor tensor, Block block) {
    if (tensor.data) {
      const auto offset = static_cast<const std::byte*>(tensor.data) - blocks[block].data();
      tensor.data = static_cast<std::byte*>(bases[block]) + offset;
    }
    return tensor;
  };
  qkjit_args there = args;
  there.q = moved(args.q, kQk);
  there.k = moved(args.k, kQk);
  there.v = moved(args.v, kQk);
  for (qkjit_tensor qkjit_args::*output :
       {&qkjit_args::q_out, &qkjit_args::k_out, &qkjit_args::v_out, &qkjit_args::q_scale,
        &qkjit_args::k_scale, &qkjit_args::v_scale, &qkjit_args::k_cache, &qkjit_args::v_cache,
        &qkjit_args::slot_mapping}) {
    there.*output = moved(args.*output, kOutputs);
  }
  there.q_weight = moved(args.q_weight, kQWeight);
  there.k_weight = moved(args.k_weight, kKWeight);
  there.q_bias = moved(args.q_bias, kQBias);
  there.k_bias = moved(args.k_bias, kKBias);
  there.cos_sin_cache = moved(args.cos_sin_cache, kTable);
  there.cos = moved(args.cos, kTable);
  there.sin = moved(args.sin, kTable);
  there.positions = moved(args.positions, kPositions);
  there.segment_offsets = moved(args.segment_offsets, kPositions);
  there.position_error = moved(args.position_error, kPositionError);
  return there;
}

std::int64_t Workload::tokens() const { return tokens_of(args.q.data ? args.q : args.k); }

double Workload::bytes_moved() const {
  const auto bytes = [](const qkjit_tensor& in, qkjit_dtype in_dtype, qkjit_out out) {
    const std::int64_t size = in_dtype == QKJIT_FP32 ? 4 : 2;
    const std::int64_t of_result = out == QKJIT_OUT_FP8_E4M3 ? 1 : size;
    return in.data ? tokens_of(in) * heads(in) * (size + of_result) : 0;
  };
  const qkjit_spec& spec = args.spec;
  const std::int64_t elements = bytes(args.q, spec.dtype, spec.q_out) +
                                bytes(args.k, spec.dtype, spec.k_out) +
                                bytes(args.v, spec.dtype, spec.k_out);
  return static_cast<double>(elements) * spec.head_dim;
}

Workload generate_workload(const Spec& spec, const Shape& shape, const RopeTable* table,
                           std::int64_t first_token, float eps, unsigned seed) {
  const auto dtype = static_cast<qkjit_dtype>(spec.dtype);
  const std::int64_t q_width = std::int64_t{shape.heads_q} * spec.head_dim;
  const std::int64_t k_width = std::int64_t{shape.heads_k} * spec.head_dim;
  const bool packed = shape.view.row_stride > 0;
  const std::int64_t gap = spec.batch == Batch::strided ? 1 : 0;  // tokens after a sequence
  const std::int64_t rows = std::max<std::int64_t>(1, shape.batches) * (shape.tokens + gap);
  const std::int64_t k_start = packed ? shape.view.k_offset : rows * q_width;
  const std::int64_t v_start = k_start + rows * k_width;
  const std::int64_t contiguous = v_start + (spec.v == Values::copy ? rows * k_width : 0);
  const std::int64_t elements = packed ? rows * shape.view.row_stride : contiguous;
  const auto size = static_cast<std::size_t>(size_of(spec.dtype));

  const FloatEnvironment ieee;
  NormalSource random(seed);
  Workload work;
  work.blocks[Workload::kQk].resize(static_cast<std::size_t>(elements) * size);
  random.fill(spec.dtype, work.blocks[Workload::kQk], 0, 1);
  qkjit_args& args = work.args;
  args.spec = to_c(spec);
  args.eps = eps;
  std::byte* qk = work.blocks[Workload::kQk].data();
  const std::int64_t q_start = packed ? shape.view.q_offset : 0;
  const auto view = [&](std::int64_t start, int heads) {
    if (heads == 0) return qkjit_tensor QKJIT_TENSOR_INIT;
    std::byte* data = qk + static_cast<std::size_t>(start) * size;
    if (shape.batches > 0) {
      qkjit_tensor tensor =
          qkjit_tensor_4d(data, dtype, shape.batches, shape.tokens, heads, spec.head_dim);
      tensor.strides[0] += gap * tensor.strides[1];
      return tensor;
    }
    qkjit_tensor tensor = qkjit_tensor_3d(data, dtype, shape.tokens, heads, spec.head_dim);
    if (packed) tensor.strides[0] = shape.view.row_stride;
    return tensor;
  };
  args.q = view(q_start, shape.heads_q);
  args.k = view(k_start, shape.heads_k);
  if (spec.v == Values::copy) args.v = view(v_start, shape.heads_k);
  add_outputs(spec, work);
  const auto add_vector = [&](Workload::Block block, int heads, float mean, qkjit_tensor& tensor) {
    if (heads == 0) return;
    const DType kind = dtype_of_weights(spec);
    const std::int64_t length = weight_length(spec, heads);
    std::vector<std::byte>& bytes = work.blocks[block];
    bytes.resize(static_cast<std::size_t>(length * size_of(kind)));
    random.fill(kind, bytes, mean, 0.1f);
    tensor = qkjit_tensor_1d(bytes.data(), static_cast<qkjit_dtype>(kind), length);
  };
  const float mean = spec.weight == Weight::one_plus ? 0 : 1;  // of a weight
  const int heads_q = shape.heads_q, heads_k = shape.heads_k;
  if (has_weight(spec, spec.q_norm)) add_vector(Workload::kQWeight, heads_q, mean, args.q_weight);
  if (has_weight(spec, spec.k_norm)) add_vector(Workload::kKWeight, heads_k, mean, args.k_weight);
  if (has_bias(spec, spec.q_norm)) add_vector(Workload::kQBias, heads_q, 0, args.q_bias);
  if (has_bias(spec, spec.k_norm)) add_vector(Workload::kKBias, heads_k, 0, args.k_bias);
  if (!table) return work;

  if (spec.angles == Angles::computed) {
    args.frequencies.base = kBase;
  } else {
    add_table(spec, *table, work);
  }
  args.position_offset = has_sections(spec) ? 0 : first_token;
  if (spec.bounds == Bounds::checked) add_position_error(work);
  if (spec.positions == Positions::grid) {
    args.grid = grid_of(shape.tokens);
  } else if (spec.positions == Positions::segments) {
    add_segments(shape.tokens, work);
  } else if (spec.positions != Positions::implicit) {
    add_positions(spec, *table, first_token, shape, work);
  }
  return work;
}

Result<Workload> model_workload(const Model& model, const Call& call, unsigned seed) {
  const Attention& attention = model.attention(call.attention);
  const Spec spec = spec_of(model, call);
  const Shape shape{.tokens = call.tokens,
                    .heads_q = call.heads_q,
                    .heads_k = call.heads_k,
                    .view = call.view.value_or(PackedView{})};
  std::optional<RopeTable> table;
  if (spec.rope_dim > 0) {
    auto built = build_rope_table(model, model.table(call.table));
    if (!built) return tl::unexpected(built.error());
    table = std::move(*built);
  }
  Workload work = generate_workload(spec, shape, table ? &*table : nullptr, call.position_offset,
                                    static_cast<float>(attention.eps), seed);
  work.name = call.name;
  work.repeat = call.repeat;
  return work;
}

Workload spec_workload(const Spec& spec, const Shape& shape, float eps, unsigned seed) {
  const int heads = has_head_tables(spec) ? std::max(shape.heads_q, shape.heads_k) : 1;
  RopeTable table{shape.tokens, heads * spec.rope_dim, {}, {}};
  const int in_head = spec.rope_dim / 2, half = heads * in_head;
  table.values.resize(static_cast<std::size_t>(shape.tokens * table.rope_dim));
  for (std::int64_t row = 0; row < shape.tokens; ++row) {
    float* values = table.values.data() + row * table.rope_dim;
    for (int i = 0; i < half; ++i) {  // each head a row later than the one before
      const auto position = static_cast<double>((row + i / in_head) % shape.tokens);
      const double angle = position * std::pow(kBase, -2.0 * (i % in_head) / spec.rope_dim);
      values[i] = static_cast<float>(std::cos(angle));
      values[half + i] = static_cast<float>(std::sin(angle));
    }
  }
  if (has_sections(spec)) {
    const std::int64_t tokens = shape.tokens;
    for (std::int64_t t = 0; t < tokens; ++t) table.positions.push_back(t);
    for (std::int64_t t = 0; t < tokens; ++t) table.positions.push_back(tokens - 1 - t);
    for (std::int64_t t = 0; t < tokens; ++t) table.positions.push_back(t / 2);
  }
  Workload work =
      generate_workload(spec, shape, spec.rope_dim > 0 ? &table : nullptr, 0, eps, seed);
  work.name = "spec";
  return work;
}

}  // namespace qkjit
