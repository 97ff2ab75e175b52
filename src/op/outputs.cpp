#include "op/outputs.hpp"

#include <array>
#include <limits>
#include <string>

#include "kernels/outputs.cuh"
#include "op/check.hpp"

namespace qkjit {
namespace {

constexpr std::int64_t kMostSlots = std::numeric_limits<std::int32_t>::max();

/// q and k have values of their own for `out`, and no field but that may name them.
std::string_view out_field(const OutputArguments& a) {
  return a.in_name == "q" ? "q_out" : "k_out";
}

Result<HeadView> check_cache(const OutputArguments& a, const Spec& spec, const HeadView& in) {
  if (is_given(a.out)) {
    return fail(Code::invalid_argument,
                "{} is given, but with cache=paged {} goes to {}: leave it out", a.out_name,
                a.in_name, a.cache_name);
  }
  const Out out = a.is_fp8 ? Out::fp8_e4m3 : Out::same;
  const auto form = check_form(a.cache_name, a.cache, "[blocks, block_size, heads, head_dim]", 4,
                               dtype_of_out(spec, out));
  if (!form) return tl::unexpected(form.error());
  auto cache = check_head_tensor(a.cache_name, a.cache, spec, nullptr, out);
  if (!cache) return cache;
  const Extent& e = cache->extent;
  if (e.heads != in.extent.heads) {
    return fail(Code::invalid_argument, "{} has {} heads, and {} has {}: give it as many",
                a.cache_name, e.heads, a.in_name, in.extent.heads);
  }
  if (e.batches < 1 || e.tokens < 1 || e.batches > kMostSlots / e.tokens) {
    return fail(Code::invalid_argument,
                "{} has {} blocks of {} slots: at least one of each, and less than 2^31 slots are "
                "needed",
                a.cache_name, e.batches, e.tokens);
  }
  return cache;
}

Result<void> check_not_given(std::string_view name, const qkjit_tensor& tensor,
                             std::string_view because, std::string_view instead) {
  if (!is_given(tensor)) return {};
  return fail(Code::invalid_argument, "{} is given, but {}: leave it out, or {}", name, because,
              instead);
}

/// Strides of a checked tensor of scales, and 0 for a dimension of one.
Extent extent_of(const qkjit_tensor& t, std::array<int, 3> dimensions) {
  constexpr std::int64_t kSize = sizeof(float);
  const auto count = [&](int d) { return d < 0 ? 1 : t.shape[d]; };
  const auto stride = [&](int d) { return count(d) == 1 ? 0 : t.strides[d] * kSize; };
  const auto [batch, token, head] = dimensions;
  return {reinterpret_cast<std::uintptr_t>(t.data),
          count(token),
          count(head),
          stride(token),
          stride(head),
          kSize,
          count(batch),
          stride(batch)};
}

/// [1], [heads] or [batch, heads].
Result<ScaleView> check_given_scales(const OutputArguments& a, const HeadView& in) {
  const qkjit_tensor& t = a.scale;
  const int rank = in.is_batched && t.rank == 2 ? 2 : 1;
  const auto form = check_form(a.scale_name, t,
                               in.is_batched ? "[1], [heads] or [batch, heads]" : "[1] or [heads]",
                               rank, QKJIT_FP32);
  if (!form) return tl::unexpected(form.error());
  const std::int64_t heads = t.shape[rank - 1], batches = rank == 2 ? t.shape[0] : 1;
  const Extent& e = in.extent;
  if ((heads != 1 && heads != e.heads) || (batches != 1 && batches != e.batches)) {
    return fail(Code::invalid_argument,
                "{} has {} scales{}: give 1 or {}, one for each head of {}{}", a.scale_name, heads,
                rank == 2 ? fmt::format(", {} times", batches) : "", e.heads, a.in_name,
                rank == 2 ? fmt::format(", 1 or {} times", e.batches) : "");
  }
  return ScaleView{a.scale_name, t.data, extent_of(t, {rank - 2, -1, rank - 1}), false};
}

/// [tokens, heads] or [batch, tokens, heads], without heads if these share it.
Result<ScaleView> check_written_scales(const OutputArguments& a, const Spec& spec,
                                       const HeadView& in) {
  const qkjit_tensor& t = a.scale;
  const bool by_token = scales_tokens(spec);
  const int token = in.is_batched ? 1 : 0, head = by_token ? -1 : token + 1;
  const std::string shape =
      fmt::format("[{}tokens{}]", in.is_batched ? "batch, " : "", by_token ? "" : ", heads");
  const auto form = check_form(a.scale_name, t, shape, by_token ? token + 1 : head + 1, QKJIT_FP32);
  if (!form) return tl::unexpected(form.error());
  const Extent extent = extent_of(t, {token - 1, token, head});
  const Extent& e = in.extent;
  const std::int64_t heads = by_token ? 1 : e.heads;
  if (extent.batches != e.batches || extent.tokens != e.tokens || extent.heads != heads) {
    return fail(Code::invalid_argument,
                "{} is of {} tokens and {} heads{}: {} and {}{} are needed, by those of {}",
                a.scale_name, extent.tokens, extent.heads,
                in.is_batched ? fmt::format(", {} times", extent.batches) : "", e.tokens, heads,
                in.is_batched ? fmt::format(", {} times", e.batches) : "", a.in_name);
  }
  return ScaleView{a.scale_name, t.data, extent, true};
}

}  // namespace

OutputArguments output_of_q(const qkjit_args& args, const Spec& spec) {
  return {"q",          "q_out",    "q_scale",          "",   args.q_out,
          args.q_scale, args.q_out, is_fp8(spec, true), false};
}
OutputArguments output_of_k(const qkjit_args& args, const Spec& spec) {
  return {"k",
          "k_out",
          "k_scale",
          "k_cache",
          args.k_out,
          args.k_scale,
          args.k_cache,
          is_fp8(spec, false),
          spec.cache == Cache::paged};
}
OutputArguments output_of_v(const qkjit_args& args, const Spec& spec) {
  return {"v",
          "v_out",
          "v_scale",
          "v_cache",
          args.v_out,
          args.v_scale,
          args.v_cache,
          is_fp8(spec, false),
          spec.cache == Cache::paged};
}

Result<HeadView> check_output(const OutputArguments& a, const Spec& spec, const HeadView& in) {
  if (a.is_paged) return check_cache(a, spec, in);
  const Out out = a.is_fp8 ? Out::fp8_e4m3 : Out::same;
  const bool can_be_in_place = !a.is_fp8 && a.in_name != "v";
  // A shape without memory is a mistake, not "in place".
  if (!is_given(a.out) && can_be_in_place) return in;
  if (!is_given(a.out) && a.is_fp8 && a.in_name != "v") {
    return fail(Code::invalid_argument,
                "{} is not given: with {}=fp8_e4m3 nothing is in place; give a tensor of fp8_e4m3 "
                "shaped as {}",
                a.out_name, out_field(a), a.in_name);
  }
  return check_head_tensor(a.out_name, a.out, spec, &in, out);
}

Result<ScaleView> check_scales(const OutputArguments& a, const Spec& spec, const HeadView& in) {
  const auto absent = [&](std::string_view because, std::string_view instead) -> Result<ScaleView> {
    const auto checked = check_not_given(a.scale_name, a.scale, because, instead);
    if (!checked) return tl::unexpected(checked.error());
    return ScaleView{};
  };
  if (in.is_absent) return absent(fmt::format("{} is not", a.in_name), "give both");
  if (!a.is_fp8) {
    return absent(fmt::format("the spec says {}=same", out_field(a)),
                  fmt::format("use {}=fp8_e4m3", out_field(a)));
  }
  if (in.tokens() == 0) return ScaleView{};
  return spec.out_scale == OutScale::given ? check_given_scales(a, in)
                                           : check_written_scales(a, spec, in);
}

bool folds(const ScaleView& scales) {
  if (!scales.data) return true;
  return scales.is_written ? folds(scales.extent) : scales.extent.batch_stride == 0;
}

ScaleView folded(ScaleView scales) {
  if (scales.data && scales.is_written) scales.extent = folded(scales.extent);
  return scales;
}

Scales to_scales(const ScaleView& scales) {
  constexpr std::int64_t kSize = sizeof(float);
  const Extent& e = scales.extent;
  return {static_cast<float*>(scales.data), e.batch_stride / kSize, e.token_stride / kSize,
          e.head_stride / kSize};
}

Result<SlotView> check_slots(const qkjit_args& args, const Spec& spec, const HeadViews& k,
                             const HeadViews& v) {
  const bool is_paged = spec.cache == Cache::paged;
  if (!is_paged || k.in.is_absent) {
    const std::string_view because = is_paged ? "k is not" : "the spec says cache=none";
    const std::string_view instead = is_paged ? "give k" : "use cache=paged";
    for (const auto& [name, tensor] : {std::pair{"slot_mapping", &args.slot_mapping},
                                       {"k_cache", &args.k_cache},
                                       {"v_cache", &args.v_cache}}) {
      const auto checked = check_not_given(name, *tensor, because, instead);
      if (!checked) return tl::unexpected(checked.error());
    }
    return SlotView{};
  }
  if (spec.v == Values::none) {
    const auto checked =
        check_not_given("v_cache", args.v_cache, "the spec says v=none", "use v=copy");
    if (!checked) return tl::unexpected(checked.error());
  }
  const bool is_int64 = spec.slots == Slots::int64;
  const qkjit_tensor& t = args.slot_mapping;
  const auto form =
      check_form("slot_mapping", t, "[tokens of k]", 1, is_int64 ? QKJIT_INT64 : QKJIT_INT32);
  if (!form) return tl::unexpected(form.error());
  if (t.shape[0] != k.in.tokens()) {
    return fail(Code::invalid_argument,
                "slot_mapping has {} slots: one for each of k's {} tokens "
                "is needed, -1 for those that have none",
                t.shape[0], k.in.tokens());
  }
  const Extent &kc = k.out.extent, &vc = v.out.extent;
  if (!v.in.is_absent && (vc.batches != kc.batches || vc.tokens != kc.tokens)) {
    return fail(Code::invalid_argument,
                "v_cache has {} blocks of {} slots and k_cache {} of {}: one slot_mapping serves "
                "both, so that both need the same",
                vc.batches, vc.tokens, kc.batches, kc.tokens);
  }
  const std::int64_t bytes = t.shape[0] * (is_int64 ? 8 : 4);
  return SlotView{
      t.data, {reinterpret_cast<std::uintptr_t>(t.data), 1, 1, 0, 0, bytes}, kc.batches, kc.tokens};
}

Result<void> check_slots(const Operation& op) {
  if (!op.slots.data) return {};
  const std::int64_t count = op.slots.blocks * op.slots.block_size;
  const auto tokens = static_cast<unsigned>(op.k_tokens());
  for (unsigned i = 0; i < tokens; ++i) {
    const long long slot = slot_of(op.spec, op.outputs, i);
    if (slot < count) continue;
    return fail(
        Code::invalid_argument,
        "slot_mapping[{}] = {} is outside of k_cache with {} blocks of {} slots: use a slot "
        "below {}, or -1 for none",
        i, slot, op.slots.blocks, op.slots.block_size, count);
  }
  return {};
}

}  // namespace qkjit
