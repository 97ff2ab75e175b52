// The field's names of every enumerator of a Spec or a Variant, for printing and strict parsing.
#pragma once

#include <array>
#include <string_view>

#include "kernels/variant.cuh"

namespace qkjit {

/// Names of E in the order of its values; `kNames<E>` exists for each of those enums.
template <class E>
inline constexpr std::array<std::string_view, 0> kNames;
template <>
inline constexpr std::array<std::string_view, 3> kNames<DType> = {"bf16", "fp16", "fp32"};
template <>
inline constexpr std::array<std::string_view, 2> kNames<Layout> = {"interleaved", "neox"};
template <>
inline constexpr std::array<std::string_view, 7> kNames<Rounding> = {
    "fused", "split", "eager", "hf", "late_weight", "hf_eager", "late_weight_eager"};
template <>
inline constexpr std::array<std::string_view, 5> kNames<Positions> = {"int64", "int32", "implicit",
                                                                      "grid", "segments"};

template <>
inline constexpr std::array<std::string_view, 3> kNames<Norm> = {"rms", "none", "layer"};
template <>
inline constexpr std::array<std::string_view, 3> kNames<Weight> = {"plain", "one_plus", "none"};
template <>
inline constexpr std::array<std::string_view, 2> kNames<Bias> = {"no", "yes"};
template <>
inline constexpr std::array<std::string_view, 4> kNames<WeightDType> = {"same", "bf16", "fp16",
                                                                        "fp32"};
template <>
inline constexpr std::array<std::string_view, 2> kNames<NormOrder> = {"before", "after"};
template <>
inline constexpr std::array<std::string_view, 3> kNames<TableWidth> = {"half", "full", "elements"};
template <>
inline constexpr std::array<std::string_view, 2> kNames<RopePlacement> = {"head", "tail"};
template <>
inline constexpr std::array<std::string_view, 2> kNames<SectionOrder> = {"contiguous",
                                                                         "interleaved"};
template <>
inline constexpr std::array<std::string_view, 2> kNames<NormScope> = {"head", "token"};
template <>
inline constexpr std::array<std::string_view, 2> kNames<Angles> = {"table", "computed"};
template <>
inline constexpr std::array<std::string_view, 2> kNames<Weights> = {"shared", "per_head"};
template <>
inline constexpr std::array<std::string_view, 2> kNames<Batch> = {"folded", "strided"};
template <>
inline constexpr std::array<std::string_view, 2> kNames<Values> = {"none", "copy"};
template <>
inline constexpr std::array<std::string_view, 2> kNames<TableHeads> = {"shared", "per_head"};
template <>
inline constexpr std::array<std::string_view, 2> kNames<Bounds> = {"unchecked", "checked"};
template <>
inline constexpr std::array<std::string_view, 2> kNames<Out> = {"same", "fp8_e4m3"};
template <>
inline constexpr std::array<std::string_view, 3> kNames<OutScale> = {"static", "head", "token"};
template <>
inline constexpr std::array<std::string_view, 2> kNames<Cache> = {"none", "paged"};
template <>
inline constexpr std::array<std::string_view, 2> kNames<Slots> = {"int64", "int32"};
template <>
inline constexpr std::array<std::string_view, 2> kNames<Span> = {"slice", "token"};
template <>
inline constexpr std::array<std::string_view, 3> kNames<Pairing> = {"in_lane", "shuffle",
                                                                    "exchange"};
template <>
inline constexpr std::array<std::string_view, 3> kNames<Staging> = {"registers", "bulk_load",
                                                                    "bulk"};
template <>
inline constexpr std::array<std::string_view, 2> kNames<Hint> = {"normal", "streaming"};

template <class E>
constexpr std::string_view name_of(E value) {
  return kNames<E>[static_cast<std::size_t>(value)];
}

/// Whether a value that came over the C ABI is one of E's.
template <class E>
constexpr bool is_enumerator(E value) {
  return static_cast<std::size_t>(value) < kNames<E>.size();
}

}  // namespace qkjit
