#include "tools/qkjit/workload_outputs.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <span>
#include <utility>

#include "tools/qkjit/paged_slots.hpp"

namespace qkjit {
namespace {

constexpr std::size_t kAlignment = 256;  // of every tensor in the block, as of allocations on a GPU

/// Dense, and without its memory.
qkjit_tensor dense(qkjit_dtype dtype, std::span<const std::int64_t> shape) {
  qkjit_tensor tensor = QKJIT_TENSOR_INIT;
  tensor.dtype = dtype;
  tensor.rank = static_cast<std::int32_t>(shape.size());
  std::int64_t stride = 1;
  for (std::size_t i = shape.size(); i-- > 0; stride *= shape[i]) {
    tensor.shape[i] = shape[i], tensor.strides[i] = stride;
  }
  return tensor;
}

std::int64_t elements_of(const qkjit_tensor& tensor) {
  std::int64_t elements = 1;
  for (int i = 0; i < tensor.rank; ++i) elements *= tensor.shape[i];
  return elements;
}

/// Tensors one after another in a block, which they point into once all have a place.
class Places {
 public:
  explicit Places(std::vector<std::byte>& block) : block_(block) {}

  void add(qkjit_tensor& to, const qkjit_tensor& tensor, int size) {
    to = tensor;
    places_.emplace_back(&to, block_.size());
    const auto end = block_.size() + static_cast<std::size_t>(elements_of(tensor) * size);
    block_.resize((end + kAlignment - 1) / kAlignment * kAlignment);
  }
  void point() {
    for (const auto& [tensor, offset] : places_) tensor->data = block_.data() + offset;
  }

 private:
  std::vector<std::byte>& block_;
  std::vector<std::pair<qkjit_tensor*, std::size_t>> places_;
};

/// A tensor of a call with all that it may have beside its input.
struct Stream {
  const qkjit_tensor& in;
  qkjit_tensor &out, *cache, &scale;
  bool is_q, is_moved;
};

/// Of [..., heads, head_dim]: one for each head where they are given, else one for each head or
/// token.
qkjit_tensor scales_of(const Spec& spec, const qkjit_tensor& in) {
  const std::span<const std::int64_t> shape(in.shape, static_cast<std::size_t>(in.rank));
  const std::size_t axes = shape.size() - 1;
  if (spec.out_scale == OutScale::given) return dense(QKJIT_FP32, shape.subspan(axes - 1, 1));
  return dense(QKJIT_FP32, shape.first(scales_tokens(spec) ? axes - 1 : axes));
}

void fill_given(const qkjit_tensor& scales) {
  for (std::int64_t head = 0; head < scales.shape[0]; ++head) {
    static_cast<float*>(scales.data)[head] = std::ldexp(1.0f, -6 - static_cast<int>(head % 3));
  }
}

}  // namespace

void add_outputs(const Spec& spec, Workload& work) {
  qkjit_args& args = work.args;
  Places places(work.blocks[Workload::kOutputs]);
  const Stream streams[] = {
      {args.q, args.q_out, nullptr, args.q_scale, true, false},
      {args.k, args.k_out, &args.k_cache, args.k_scale, false, false},
      {args.v, args.v_out, &args.v_cache, args.v_scale, false, true},
  };
  for (const Stream& stream : streams) {
    const qkjit_tensor& in = stream.in;
    if (!in.data) continue;
    const bool fp8 = is_fp8(spec, stream.is_q), paged = spec.cache == Cache::paged && stream.cache;
    const qkjit_dtype dtype = fp8 ? QKJIT_FP8_E4M3 : in.dtype;
    const int size = size_of_out(spec, stream.is_q);
    if (paged) {
      const std::int64_t shape[] = {paged_blocks(work.tokens_of(in)), kPagedBlockSize,
                                    Workload::heads(in), spec.head_dim};
      places.add(*stream.cache, dense(dtype, shape), size);
    } else if (fp8 || stream.is_moved) {
      places.add(stream.out, dense(dtype, {in.shape, static_cast<std::size_t>(in.rank)}), size);
    }
    if (fp8) places.add(stream.scale, scales_of(spec, in), 4);
  }
  std::vector<std::byte> slots;
  if (spec.cache == Cache::paged && args.k.data) {
    const std::int64_t tokens[] = {work.tokens_of(args.k)};
    slots = paged_slots(tokens[0], spec.slots);
    places.add(args.slot_mapping,
               dense(spec.slots == Slots::int64 ? QKJIT_INT64 : QKJIT_INT32, tokens),
               spec.slots == Slots::int64 ? 8 : 4);
  }
  places.point();
  if (!slots.empty()) std::memcpy(args.slot_mapping.data, slots.data(), slots.size());
  if (spec.out_scale != OutScale::given) return;
  for (const Stream& stream : streams) {
    if (stream.scale.data) fill_given(stream.scale);
  }
}

}  // namespace qkjit
