#include "op/check.hpp"

#include <array>
#include <cmath>
#include <limits>
#include <string_view>
#include <utility>

#include "kernels/tile.cuh"
#include "op/batches.hpp"
#include "op/outputs.hpp"
#include "op/rotation.hpp"
#include "op/tensor.hpp"
#include "spec/names.hpp"
#include "spec/text.hpp"
#include "util/c_enum.hpp"
#include "util/float_environment.hpp"

namespace qkjit {
namespace {

constexpr std::int64_t kMostRows = std::numeric_limits<std::int32_t>::max();

struct HeadTensors : HeadViews {
  const void *weight, *bias;
  std::int64_t vector_bytes;  ///< of weight and bias each
  ScaleView scales = {};
};

/// What belongs to q, or to k, with the names for messages.
struct HeadArguments {
  std::string_view in_name, out_name, weight_name, bias_name;
  const qkjit_tensor &in, &out, &weight, &bias;
  Norm norm;
  OutputArguments output;
};

HeadArguments q_of(const qkjit_args& args, const Spec& spec) {
  return {"q",        "q_out",       "q_weight",  "q_bias",    args.q,
          args.q_out, args.q_weight, args.q_bias, spec.q_norm, output_of_q(args, spec)};
}
HeadArguments k_of(const qkjit_args& args, const Spec& spec) {
  return {"k",        "k_out",       "k_weight",  "k_bias",    args.k,
          args.k_out, args.k_weight, args.k_bias, spec.k_norm, output_of_k(args, spec)};
}

Result<void> check_weight(const HeadArguments& heads, const Spec& spec, std::int64_t count) {
  if (has_weight(spec, heads.norm)) {
    return check_vector(heads.weight_name, heads.weight, spec, count);
  }
  if (!heads.weight.data) return {};
  const bool no_norm = heads.norm == Norm::none;
  return fail(Code::invalid_argument,
              "{} is given, but the spec says {} for {}: leave it out, or use {}",
              heads.weight_name, no_norm ? "norm=none" : "weight=none", heads.in_name,
              no_norm ? "norm=rms" : "weight=plain");
}

Result<void> check_bias(const HeadArguments& heads, const Spec& spec, std::int64_t count) {
  if (has_bias(spec, heads.norm)) return check_vector(heads.bias_name, heads.bias, spec, count);
  if (!heads.bias.data) return {};
  const bool no_layer = heads.norm != Norm::layer;
  return fail(Code::invalid_argument,
              "{} is given, but the spec says {} for {}: leave it out, or use {}", heads.bias_name,
              no_layer ? fmt::format("norm={}", name_of(heads.norm)) : "bias=no", heads.in_name,
              no_layer ? "norm=layer with bias=yes" : "bias=yes");
}

/// A call may have only q or only k.
Result<HeadTensors> check_absent(const HeadArguments& arguments, const HeadArguments& other) {
  if (!is_given(other.in)) {
    return fail(Code::invalid_argument,
                "neither q nor k is given: [tokens, heads, head_dim] or [batch, tokens, heads, "
                "head_dim] is needed of one of them at least");
  }
  for (const auto& [name, tensor] : {std::pair{arguments.out_name, &arguments.out},
                                     {arguments.weight_name, &arguments.weight},
                                     {arguments.bias_name, &arguments.bias},
                                     {arguments.output.scale_name, &arguments.output.scale}}) {
    if (!is_given(*tensor)) continue;
    return fail(Code::invalid_argument, "{} is given without {}: give both or neither", name,
                arguments.in_name);
  }
  const HeadView none{.is_absent = true};
  return HeadTensors{{none, none}, nullptr, nullptr, 0};
}

/// q or k with its output, weight and bias.
Result<HeadTensors> check_heads(const HeadArguments& arguments, const HeadArguments& other,
                                const Spec& spec) {
  if (!is_given(arguments.in)) return check_absent(arguments, other);
  auto input = check_head_tensor(arguments.in_name, arguments.in, spec, nullptr);
  if (!input) return tl::unexpected(input.error());
  const std::int64_t count = input->extent.heads;
  if (count > kMostRows) {
    return fail(Code::invalid_argument, "{} has {} heads: below 2^31 can be had; split the call",
                arguments.in_name, count);
  }
  const auto output = check_output(arguments.output, spec, *input);
  if (!output) return tl::unexpected(output.error());
  const auto scales = check_scales(arguments.output, spec, *input);
  if (!scales) return tl::unexpected(scales.error());
  HeadTensors heads{{*input, *output, arguments.output.is_paged},
                    arguments.weight.data,
                    arguments.bias.data,
                    weight_length(spec, count) * size_of(dtype_of_weights(spec)),
                    *scales};
  if (heads.exist()) {
    for (auto checked :
         {check_weight(arguments, spec, count), check_bias(arguments, spec, count)}) {
      if (!checked) return tl::unexpected(checked.error());
    }
  }
  return heads;
}

/// V and where it goes, if the spec says so.
Result<HeadTensors> check_values(const qkjit_args& args, const Spec& spec) {
  if (spec.v == Values::none) {
    for (const auto& [name, tensor] :
         {std::pair{"v", &args.v}, {"v_out", &args.v_out}, {"v_scale", &args.v_scale}}) {
      if (!is_given(*tensor)) continue;
      return fail(Code::invalid_argument,
                  "{} is given, but the spec says v=none: leave it out, or use v=copy", name);
    }
    const HeadView none{.is_absent = true};
    return HeadTensors{{none, none}, nullptr, nullptr, 0};
  }
  const auto in = check_head_tensor("v", args.v, spec, nullptr);
  if (!in) return tl::unexpected(in.error());
  const OutputArguments output = output_of_v(args, spec);
  const auto out = check_output(output, spec, *in);
  if (!out) return tl::unexpected(out.error());
  const auto scales = check_scales(output, spec, *in);
  if (!scales) return tl::unexpected(scales.error());
  return HeadTensors{{*in, *out, output.is_paged}, nullptr, nullptr, 0, *scales};
}

Result<void> check_overlaps(const HeadTensors& q, const HeadTensors& k, const HeadTensors& v) {
  struct Named {
    std::string_view name;
    const Extent& extent;
    const Extent* in_place = nullptr;  ///< of an output, the input that it may be

    bool exists() const { return extent.tokens > 0 && extent.batches > 0; }
  };
  const auto output = [](const HeadTensors& heads, std::string_view in, std::string_view out,
                         std::string_view cache) {
    const Extent &from = heads.in.extent, &to = heads.out.extent;
    if (heads.is_paged) return Named{cache, to};
    return Named{from == to ? in : out, to, &from};
  };
  const std::array<Named, 9> views = {{{"q", q.in.extent},
                                       {"k", k.in.extent},
                                       {"v", v.in.extent},
                                       output(q, "q", "q_out", ""),
                                       output(k, "k", "k_out", "k_cache"),
                                       output(v, "v_out", "v_out", "v_cache"),
                                       {"q_scale", q.scales.extent},
                                       {"k_scale", k.scales.extent},
                                       {"v_scale", v.scales.extent}}};
  const auto is_read = [&](const Named& view) {
    return &view < &views[3] || (&view == &views[6] && !q.scales.is_written) ||
           (&view == &views[7] && !k.scales.is_written) ||
           (&view == &views[8] && !v.scales.is_written);
  };
  for (const Named& out : views) {
    if (!out.exists() || is_read(out)) continue;
    if (overlaps_itself(out.extent)) {
      return fail(
          Code::invalid_argument,
          "rows of {} overlap each other ({}token stride {}, head stride {}, row {} bytes): rows "
          "that are written must be disjoint",
          out.name,
          out.extent.batches > 1 ? fmt::format("batch stride {}, ", out.extent.batch_stride) : "",
          out.extent.token_stride, out.extent.head_stride, out.extent.row);
    }
    for (const Named& other : views) {
      if (!other.exists() || &other == &out) continue;
      if (&other.extent == out.in_place && out.extent == other.extent) continue;
      if (overlap(out.extent, other.extent)) {
        return fail(
            Code::invalid_argument,
            "{} overlaps {}: outputs must be their own input exactly, or share no byte with any "
            "tensor",
            out.name, other.name);
      }
    }
  }
  return {};
}

/// Outputs must not lie over what other rows still read: weights, biases, table and positions.
Result<void> check_read_only(const HeadTensors& q, const HeadTensors& k, const HeadTensors& v,
                             const Rotation& rotation, const SlotView& slots) {
  const auto vector = [](std::string_view name, const void* data, std::int64_t bytes) {
    return ReadOnly{name, data, {reinterpret_cast<std::uintptr_t>(data), 1, 1, 0, 0, bytes}};
  };
  for (const ReadOnly& range :
       {rotation.segment_offsets, rotation.position_error,
        vector("q_weight", q.weight, q.vector_bytes), vector("k_weight", k.weight, k.vector_bytes),
        vector("q_bias", q.bias, q.vector_bytes), vector("k_bias", k.bias, k.vector_bytes),
        rotation.cosines, rotation.sines, rotation.q_positions.memory, rotation.k_positions.memory,
        ReadOnly{"slot_mapping", slots.data, slots.extent}}) {
    if (!range.data) continue;
    bool is_written = false;
    for (const HeadTensors* heads : {&q, &k, &v}) {
      const ScaleView& scales = heads->scales;
      is_written |= heads->exist() && overlap(heads->out.extent, range.extent);
      is_written |= scales.is_written && overlap(scales.extent, range.extent);
    }
    if (!is_written) continue;
    return fail(Code::invalid_argument,
                "{} lies in the memory of an output: give it memory that the call does not write",
                range.name);
  }
  return {};
}

float inverse_width(const Spec& spec, std::int64_t heads) {
  if (!norms_across_heads(spec)) return 0;
  const FloatEnvironment ieee;  // the host may round otherwise
  return 1.0f / static_cast<float>(heads * spec.head_dim);
}

Rows to_rows(const HeadTensors& heads, const Spec& spec, bool is_q) {
  const Extent &in = heads.in.extent, &out = heads.out.extent;
  const std::int64_t element_size = size_of(spec.dtype), out_size = size_of_out(spec, is_q);
  return {.in = heads.in.data,
          .out = heads.out.data,
          .weight = heads.weight,
          .bias = heads.bias,
          .in_token_stride = in.token_stride / element_size,
          .in_head_stride = in.head_stride / element_size,
          .out_token_stride = out.token_stride / out_size,
          .out_head_stride = out.head_stride / out_size,
          .heads = heads.exist() ? static_cast<unsigned>(in.heads) : 0,
          .inv_width = inverse_width(spec, in.heads)};
}

/// A chunk of FP8 is 8 bytes.
bool is_aligned(const HeadTensors& heads, bool is_fp8) {
  return on_16_bytes(heads.in.extent) && lies_on(heads.out.extent, is_fp8 ? 8 : 16) &&
         on_16_bytes(heads.weight) && on_16_bytes(heads.bias);
}

/// Where bulk copies can load, and unless outputs are of another kind, store.
bool has_no_gaps(const HeadTensors& heads, const Spec& spec) {
  if (!heads.exist()) return true;
  const auto dense = [](const Extent& e) { return e.heads == 1 || e.head_stride == e.row; };
  return dense(heads.in.extent) && (has_other_outputs(spec) || dense(heads.out.extent));
}

Outputs to_outputs(const std::array<ScaleView, 3>& scales, const SlotView& slots) {
  const auto block_size = static_cast<unsigned>(slots.block_size);
  return {to_scales(scales[0]),
          to_scales(scales[1]),
          to_scales(scales[2]),
          slots.data,
          slots.data ? Divisor::of(block_size) : Divisor{},
          block_size};
}

/// A kernel that stages a token has all heads of its q, or of its k, in shared memory.
bool has_room(const Spec& spec, std::int64_t heads) {
  constexpr int kMost =
      kMostStagedTokenBytes / staged_token_bytes({.head_dim = 1, .dtype = DType::bf16}, 1);
  return !runs_by_token(spec) ||
         (heads <= kMost &&
          staged_token_bytes(spec, static_cast<int>(heads)) <= kMostStagedTokenBytes);
}

/// An enumeration of the C interface as ours, in range or not.
template <class E, class C>
E enum_of(const C& value) {
  return static_cast<E>(number_in(value));
}

}  // namespace

Result<Spec> to_spec(const qkjit_spec& spec) {
  if (spec.struct_size != sizeof(qkjit_spec)) {
    return fail(
        Code::invalid_argument,
        "qkjit_spec.struct_size is {}, this library has {}: start from QKJIT_SPEC_INIT and link "
        "the library of the same header",
        spec.struct_size, sizeof(qkjit_spec));
  }
  const Spec given{spec.head_dim,
                   spec.rope_dim,
                   enum_of<Layout>(spec.layout),
                   enum_of<DType>(spec.dtype),
                   enum_of<Rounding>(spec.rounding),
                   enum_of<Positions>(spec.positions),
                   enum_of<Norm>(spec.q_norm),
                   enum_of<Norm>(spec.k_norm),
                   enum_of<Weight>(spec.weight),
                   enum_of<Bias>(spec.bias),
                   enum_of<WeightDType>(spec.weight_dtype),
                   enum_of<NormOrder>(spec.norm_order),
                   enum_of<DType>(spec.table),
                   enum_of<TableWidth>(spec.table_width),
                   enum_of<RopePlacement>(spec.placement),
                   {spec.sections[0], spec.sections[1], spec.sections[2]},
                   enum_of<SectionOrder>(spec.section_order),
                   enum_of<NormScope>(spec.norm_scope),
                   enum_of<Angles>(spec.angles),
                   enum_of<Weights>(spec.weights),
                   enum_of<Batch>(spec.batch),
                   enum_of<Values>(spec.v),
                   enum_of<TableHeads>(spec.table_heads),
                   enum_of<Bounds>(spec.bounds),
                   enum_of<Out>(spec.q_out),
                   enum_of<Out>(spec.k_out),
                   enum_of<OutScale>(spec.out_scale),
                   enum_of<Cache>(spec.cache),
                   enum_of<Slots>(spec.slots)};
  // First, since to normalise also drops what means nothing here.
  if (auto checked = check_enumerators(given); !checked) return tl::unexpected(checked.error());
  return normalized(given);
}

qkjit_spec to_c(const Spec& spec) {
  return {sizeof(qkjit_spec),
          spec.head_dim,
          spec.rope_dim,
          static_cast<qkjit_layout>(spec.layout),
          static_cast<qkjit_dtype>(spec.dtype),
          static_cast<qkjit_rounding>(spec.rounding),
          static_cast<qkjit_positions>(spec.positions),
          static_cast<qkjit_norm>(spec.q_norm),
          static_cast<qkjit_norm>(spec.k_norm),
          static_cast<qkjit_weight>(spec.weight),
          static_cast<qkjit_bias>(spec.bias),
          static_cast<qkjit_weight_dtype>(spec.weight_dtype),
          static_cast<qkjit_norm_order>(spec.norm_order),
          static_cast<qkjit_dtype>(spec.table),
          static_cast<qkjit_table_width>(spec.table_width),
          static_cast<qkjit_placement>(spec.placement),
          {spec.sections[0], spec.sections[1], spec.sections[2]},
          static_cast<qkjit_section_order>(spec.section_order),
          static_cast<qkjit_norm_scope>(spec.norm_scope),
          static_cast<qkjit_angles>(spec.angles),
          static_cast<qkjit_weights>(spec.weights),
          static_cast<qkjit_batch>(spec.batch),
          static_cast<qkjit_v>(spec.v),
          static_cast<qkjit_table_heads>(spec.table_heads),
          static_cast<qkjit_bounds>(spec.bounds),
          static_cast<qkjit_out>(spec.q_out),
          static_cast<qkjit_out>(spec.k_out),
          static_cast<qkjit_out_scale>(spec.out_scale),
          static_cast<qkjit_cache>(spec.cache),
          static_cast<qkjit_slots>(spec.slots)};
}

Result<Operation> check_args(const qkjit_args& args) {
  if (args.struct_size != sizeof(qkjit_args)) {
    return fail(
        Code::invalid_argument,
        "qkjit_args.struct_size is {}, this library has {}: start from QKJIT_ARGS_INIT and link "
        "the library of the same header",
        args.struct_size, sizeof(qkjit_args));
  }
  const auto spec = to_spec(args.spec);
  if (!spec) return tl::unexpected(spec.error());
  auto support = supports(*spec);
  if (!support) return tl::unexpected(support.error());
  if (!std::isfinite(args.eps) || args.eps < 0) {
    return fail(Code::invalid_argument,
                "eps is {}: it must be finite and not negative, such as 1e-6", args.eps);
  }
  const auto requested = static_cast<Path>(args.path);
  if (requested != Path::none && requested != Path::fused && requested != Path::generic) {
    return fail(Code::invalid_argument, "path is {}: use QKJIT_PATH_NONE, _FUSED or _GENERIC",
                static_cast<int>(args.path));
  }

  const HeadArguments of_q = q_of(args, *spec), of_k = k_of(args, *spec);
  auto q = check_heads(of_q, of_k, *spec);
  if (!q) return tl::unexpected(q.error());
  auto k = check_heads(of_k, of_q, *spec);
  if (!k) return tl::unexpected(k.error());
  const auto lengths = check_lengths(*q, *k, *spec);
  if (!lengths) return tl::unexpected(lengths.error());
  auto v = check_values(args, *spec);
  if (!v) return tl::unexpected(v.error());
  if (auto checked = check_length_of_v(*k, *v); !checked) return tl::unexpected(checked.error());
  const auto slots = check_slots(args, *spec, *k, *v);
  if (!slots) return tl::unexpected(slots.error());
  Operation op{.spec = *spec,
               .support = std::move(*support),
               .params = {},
               .v = {},
               .batches = {},
               .is_folded = false,
               .tokens = 0,
               .table_rows = 0,
               .table_heads = 0,
               .table_names = {},
               .aligned_rows = false,
               .aligned = false,
               .takes_bulk = false,
               .bytes = 0,
               .requested = requested,
               .frequencies = nullptr};
  if (!q->exist() && !k->exist()) return op;

  const std::int64_t heads_q = q->exist() ? q->in.extent.heads : 0;
  const std::int64_t heads_k = k->exist() ? k->in.extent.heads : 0;
  const std::int64_t heads_v = v->exist() ? v->in.extent.heads : 0;
  if (heads_q > kMostRows || heads_k > kMostRows - heads_q ||
      heads_v > kMostRows - heads_q - heads_k ||
      lengths->longest() > kMostRows / (heads_q + heads_k + heads_v) / lengths->batches) {
    return fail(Code::invalid_argument,
                "{} tokens of {} and {} heads{}{} are 2^31 rows or more: split the call",
                lengths->longest(), heads_q, heads_k,
                heads_v > 0 ? fmt::format(" and {} of v", heads_v) : "",
                lengths->is_batched ? fmt::format(", {} times,", lengths->batches) : "");
  }
  const std::int64_t rows = q->in.tokens() * heads_q + k->in.tokens() * (heads_k + heads_v);
  if (auto checked = check_overlaps(*q, *k, *v); !checked) return tl::unexpected(checked.error());
  const auto rotation = check_rotation(args, *spec, *lengths);
  if (!rotation) return tl::unexpected(rotation.error());
  if (auto checked = check_read_only(*q, *k, *v, *rotation, *slots); !checked) {
    return tl::unexpected(checked.error());
  }
  op.tokens = lengths->batches * lengths->longest();
  op.is_folded = folds(*q, *k, *v, *rotation, *spec, *lengths) && folds(q->scales) &&
                 folds(k->scales) && folds(v->scales);
  if (op.is_folded) {
    for (HeadTensors* heads : {&*q, &*k, &*v}) {
      if (heads->exist()) static_cast<HeadViews&>(*heads) = folded(*heads);
      heads->scales = folded(heads->scales);
    }
  } else if (spec->batch == Batch::folded && op.support.dispatch.path == Path::fused) {
    op.support = {{Path::generic, Reason::batch}, std::string(sentence_of(Reason::batch))};
  }

  const int element_size = size_of(spec->dtype);
  op.table_rows = rotation->table_rows;
  op.table_heads = rotation->table_heads;
  op.frequencies = rotation->frequencies;
  op.table_names = {rotation->cosines.name, rotation->sines.name};
  op.params = {
      .q = to_rows(*q, *spec, true),
      .k = to_rows(*k, *spec, false),
      .cosines = rotation->cosines.data,
      .sines = rotation->sines.data,
      .positions = rotation->q_positions.memory.data,
      .position_offset = rotation->position_offset,
      .position_axis_stride = rotation->q_positions.axis_stride,
      .table_row_bytes = static_cast<int>(rotation->table_row_bytes),
      .row_count = static_cast<unsigned>(op.tokens * (heads_q + heads_k)),
      .eps = args.eps,
      .table_head_stride = rotation->table_head_bytes,
      .position_error = static_cast<unsigned*>(
          const_cast<void*>(rotation->position_error.data)),  // the caller's, to be written
      .table_rows = static_cast<int>(rotation->table_rows),
      .first_token = 0,
      .segments = {static_cast<const int*>(rotation->segment_offsets.data), rotation->segments},
      .grid = rotation->grid};
  op.batches = to_batches(*q, *k, *rotation, op.is_folded ? op.tokens : lengths->longest(), *spec);
  op.v = {to_rows(*v, *spec, false), to_sequences(*v, {}, element_size, size_of_out(*spec, false)),
          0};
  op.scales = {q->scales, k->scales, v->scales};
  op.slots = *slots;
  op.outputs = to_outputs(op.scales, *slots);
  op.aligned_rows = is_aligned(*q, is_fp8(*spec, true)) && is_aligned(*k, is_fp8(*spec, false)) &&
                    is_aligned(*v, is_fp8(*spec, false));
  op.aligned = op.aligned_rows && rotation->aligned;
  op.takes_bulk = has_no_gaps(*q, *spec) && has_no_gaps(*k, *spec) &&
                  has_room(*spec, std::max(heads_q, heads_k));
  op.bytes = static_cast<std::uint64_t>(rows * spec->head_dim * element_size);
  return op;
}

}  // namespace qkjit
