#include "op/tensor.hpp"

#include <array>
#include <string>

namespace qkjit {
namespace {

constexpr std::array<std::string_view, 6> kDtypeNames = {"bf16",  "fp16",  "fp32",
                                                         "int32", "int64", "fp8_e4m3"};
constexpr std::array<std::uintptr_t, 6> kDtypeSizes = {2, 2, 4, 4, 8, 1};
static_assert(static_cast<int>(DType::fp32) == QKJIT_FP32, "kDtypeNames covers both enums");

std::string_view dtype_name(int dtype) {
  const auto index = static_cast<std::size_t>(dtype);
  return index < kDtypeNames.size() ? kDtypeNames[index] : "an unknown dtype";
}

/// Bytes of `stride` elements times `count`, added to `total`; false if that leaves 63 bits. The
/// stride of a single one is never used, and some callers leave any value there.
bool add_bytes(std::int64_t stride, std::int64_t count, std::int64_t element_size,
               std::int64_t& total) {
  if (count == 1) return true;
  std::int64_t bytes = 0;
  return !__builtin_mul_overflow(stride, element_size, &bytes) &&
         !__builtin_mul_overflow(bytes, count, &bytes) &&
         !__builtin_add_overflow(total, bytes, &total);
}

}  // namespace

Result<void> check_form(std::string_view name, const qkjit_tensor& t, std::string_view shape,
                        int rank, int dtype) {
  if (t.rank == 0 && !t.data) {
    return fail(Code::invalid_argument, "{} is not given: {} is needed", name, shape);
  }
  if (t.rank != rank) {
    return fail(Code::invalid_argument, "{} has rank {}: it must be {}", name, t.rank, shape);
  }
  if (static_cast<int>(t.dtype) != dtype) {
    return fail(Code::invalid_argument, "{} is {}: the spec needs {}", name,
                dtype_name(static_cast<int>(t.dtype)), dtype_name(dtype));
  }
  for (int i = 0; i < rank; ++i) {
    if (t.shape[i] >= 0 && (t.strides[i] >= 0 || t.shape[i] == 1)) continue;
    return fail(Code::invalid_argument,
                "{} has shape {} and stride {} in dimension {}: neither may be "
                "negative",
                name, t.shape[i], t.strides[i], i);
  }
  if (t.strides[rank - 1] != 1 && t.shape[rank - 1] > 1) {
    return fail(Code::invalid_argument,
                "{} has last stride {}: it must be 1; make the tensor contiguous "
                "in its last dimension",
                name, t.strides[rank - 1]);
  }
  const bool is_empty = t.shape[0] == 0 || (rank == 4 && t.shape[1] == 0);
  if (!t.data && !is_empty) {
    return fail(Code::invalid_argument, "{} is null: {} is needed", name, shape);
  }
  if (reinterpret_cast<std::uintptr_t>(t.data) % kDtypeSizes[static_cast<std::size_t>(dtype)] !=
      0) {
    return fail(Code::invalid_argument,
                "{} at {} is not aligned to its {} elements: pass their address", name,
                fmt::ptr(t.data), dtype_name(dtype));
  }
  return {};
}

namespace {

/// "[4, 3, 64]", as the tensor has it.
std::string shape_of(bool is_batched, const Extent& e, int head_dim) {
  const std::string rest = fmt::format("{}, {}, {}]", e.tokens, e.heads, head_dim);
  return is_batched ? fmt::format("[{}, {}", e.batches, rest) : "[" + rest;
}

}  // namespace

Result<HeadView> check_head_tensor(std::string_view name, const qkjit_tensor& t, const Spec& spec,
                                   const HeadView* input, Out out) {
  const bool is_batched = t.rank == 4;
  const int first = is_batched ? 1 : 0;  // dimension of the tokens
  auto checked =
      check_form(name, t, "[tokens, heads, head_dim] or [batch, tokens, heads, head_dim]",
                 first + 3, dtype_of_out(spec, out));
  if (!checked) return tl::unexpected(checked.error());
  const std::int64_t batches = is_batched ? t.shape[0] : 1, tokens = t.shape[first],
                     heads = t.shape[first + 1];
  if (t.shape[first + 2] != spec.head_dim) {
    return fail(Code::invalid_argument, "{} has last dimension {}: the spec has head_dim={}", name,
                t.shape[first + 2], spec.head_dim);
  }
  if (heads < 1) return fail(Code::invalid_argument, "{} has no heads: give at least one", name);
  const std::int64_t size = out == Out::fp8_e4m3 ? 1 : size_of(spec.dtype);
  std::int64_t bytes = spec.head_dim * size;
  const bool has_rows = batches > 0 && tokens > 0;
  Extent extent{reinterpret_cast<std::uintptr_t>(t.data), tokens, heads, 0, 0, bytes, batches};
  if (input) {
    const Extent& e = input->extent;
    if (is_batched != input->is_batched || batches != e.batches || tokens != e.tokens ||
        heads != e.heads) {
      return fail(Code::invalid_argument, "{} is {}: it must have its input's shape {}", name,
                  shape_of(is_batched, extent, spec.head_dim),
                  shape_of(input->is_batched, e, spec.head_dim));
    }
  }
  const std::int64_t* const strides = t.strides + first;
  const std::int64_t batch_stride = is_batched ? t.strides[0] : 0;
  if (has_rows &&
      !(add_bytes(batch_stride, batches, size, bytes) &&
        add_bytes(strides[0], tokens, size, bytes) && add_bytes(strides[1], heads, size, bytes))) {
    return fail(
        Code::invalid_argument,
        "{} with shape {} and strides [{}{}, {}, 1] does not fit in 63-bit byte offsets: check the "
        "strides, they count elements",
        name, shape_of(is_batched, extent, spec.head_dim),
        is_batched ? fmt::format("{}, ", batch_stride) : "", strides[0], strides[1]);
  }
  // Strides that no two rows are apart by were not checked, and are not used.
  if (has_rows && batches > 1) extent.batch_stride = batch_stride * size;
  if (has_rows && tokens > 1) extent.token_stride = strides[0] * size;
  if (has_rows && heads > 1) extent.head_stride = strides[1] * size;
  return HeadView{t.data, extent, is_batched};
}

int dtype_of_out(const Spec& spec, Out out) {
  return out == Out::fp8_e4m3 ? QKJIT_FP8_E4M3 : static_cast<int>(spec.dtype);
}

Result<void> check_vector(std::string_view name, const qkjit_tensor& t, const Spec& spec,
                          std::int64_t heads) {
  const bool by_head = runs_by_token(spec);
  const char* const shape = by_head ? "[heads * head_dim]" : "[head_dim]";
  auto checked = check_form(name, t, shape, 1, static_cast<int>(dtype_of_weights(spec)));
  if (!checked) return checked;
  const std::int64_t length = weight_length(spec, heads);
  if (t.shape[0] == length) return {};
  return fail(Code::invalid_argument, "{} has {} elements: {}={} are needed{}", name, t.shape[0],
              by_head ? "heads*head_dim" : "head_dim", length,
              by_head
                  ? fmt::format(", {} heads of {}, by {}", heads, spec.head_dim,
                                norms_across_heads(spec) ? "norm_scope=token" : "weights=per_head")
                  : "");
}

bool on_16_bytes(const void* pointer) {
  return reinterpret_cast<std::uintptr_t>(pointer) % 16 == 0;
}

bool on_16_bytes(const Extent& extent) { return lies_on(extent, 16); }

bool lies_on(const Extent& extent, std::int64_t bytes) {
  return extent.begin % static_cast<std::uintptr_t>(bytes) == 0 &&
         extent.token_stride % bytes == 0 && extent.head_stride % bytes == 0 &&
         extent.batch_stride % bytes == 0;
}

}  // namespace qkjit
