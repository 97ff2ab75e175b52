#include "codegen/source.hpp"

#include <fmt/ranges.h>

#include <array>

#include "codegen/initializer.hpp"
#include "spec/names.hpp"

namespace qkjit {
namespace {

/// "qkjit_hd128_rd64_neox_bf16", with what is not the default behind it.
std::string entry_name(const Spec& spec) {
  std::string name = fmt::format("qkjit_hd{}_rd{}_{}_{}", spec.head_dim, spec.rope_dim,
                                 name_of(spec.layout), name_of(spec.dtype));
  const auto add = [&](std::string_view what, std::string_view of = {}) {
    name.append(1, '_').append(what).append(of);
  };
  if (spec.rounding != Rounding::fused) add(name_of(spec.rounding));
  if (spec.q_norm != spec.k_norm) {
    add("q_", name_of(spec.q_norm)), add("k_", name_of(spec.k_norm));
  } else if (spec.q_norm != Norm::rms) {
    add(name_of(spec.q_norm));
  }
  if (spec.weight != Weight::plain) add("weight_", name_of(spec.weight));
  if (spec.bias == Bias::yes) add("bias");
  if (spec.weight_dtype != WeightDType::same) add("weight_", name_of(spec.weight_dtype));
  if (spec.norm_order == NormOrder::after) add("norm_after");
  if (spec.rope_dim > 0) add(name_of(spec.positions));
  if (spec.table != DType::fp32) add("table_", name_of(spec.table));
  if (spec.table_width != TableWidth::half) add(name_of(spec.table_width));
  if (spec.placement != RopePlacement::head) add(name_of(spec.placement));
  if (has_sections(spec)) {
    add(fmt::to_string(fmt::join(spec.sections, "_"))), add(name_of(spec.section_order));
  }
  if (norms_across_heads(spec)) add("across");
  if (spec.angles == Angles::computed) add("computed");
  if (spec.weights == Weights::per_head) add("per_head");
  if (spec.batch != Batch::folded) add(name_of(spec.batch));
  if (spec.v != Values::none) add("v_", name_of(spec.v));
  if (has_head_tables(spec)) add("head_tables");
  if (spec.bounds == Bounds::checked) add("checked");
  if (spec.q_out != Out::same) add("q_", name_of(spec.q_out));
  if (spec.k_out != Out::same) add("k_", name_of(spec.k_out));
  if (has_fp8(spec)) add(name_of(spec.out_scale));
  if (spec.cache != Cache::none) add(name_of(spec.cache)), add(name_of(spec.slots));
  return name;
}

std::string bounds_of(const Variant& v) {
  return v.blocks > 0 ? fmt::format("{}, {}", v.threads, v.blocks) : fmt::to_string(v.threads);
}

std::string dual_entry_name(const Spec& first, const Spec& second) {
  constexpr std::size_t kPrefix = sizeof("qkjit") - 1;
  return fmt::format("qkjit_dual{}_and{}", entry_name(first).substr(kPrefix),
                     entry_name(second).substr(kPrefix));
}

/// Blocks that registers must leave room for are what was measured of one spec alone.
Source dual_source(const Spec& first, const Spec& second, const Variants& v) {
  const std::string entry = dual_entry_name(first, second);
  const bool is_one = first == second && v.first == v.second;
  const std::string text = fmt::format(
      "#include \"dual.cuh\"\n\n"
      "extern \"C\" __global__ void __launch_bounds__({})\n"
      "{}(const __grid_constant__ qkjit::DualParams params) {{\n"
      "  qkjit::dual<{},\n"
      "              {},\n"
      "              {},\n"
      "              {}>(params);\n"
      "}}\n",
      is_one ? bounds_of(v.first) : fmt::to_string(v.first.threads), entry, initializer_of(first),
      initializer_of(v.first), initializer_of(second), initializer_of(v.second));
  return {entry, "/qkjit/" + entry + ".cu", text};
}

std::string_view forms_name(Forms forms) {
  constexpr std::array<std::string_view, 5> kFormsNames = {"common", "all", "by_token", "computed",
                                                           "by_token_computed"};
  return kFormsNames[static_cast<std::size_t>(forms)];
}

/// A kernel's parameters and what it makes of them; `frequencies` is the type of the second one, or
/// empty for a kernel that has a table.
std::string body(std::string_view params, std::string_view frequencies, std::string_view call,
                 std::string_view arguments) {
  if (frequencies.empty()) {
    return fmt::format("(const __grid_constant__ qkjit::{} params) {{\n  qkjit::{}({});\n}}\n",
                       params, call, arguments);
  }
  return fmt::format(
      "(const __grid_constant__ qkjit::{} params,\n"
      "    const __grid_constant__ qkjit::{} frequencies) {{\n"
      "  qkjit::{}({}, &frequencies);\n}}\n",
      params, frequencies, call, arguments);
}

/// The first of the structs of params.cuh that has all that the kernel reads.
std::string_view params_of(const Spec& spec) {
  if (has_other_outputs(spec)) return "OutputParams";
  const bool is_plain = spec.batch == Batch::folded && spec.v == Values::none;
  return is_plain ? "FusedParams" : "BatchedParams";
}

}  // namespace

Source fused_source(const Spec& spec, const Variant& v) {
  const std::string entry = entry_name(spec);
  const bool by_token = runs_by_token(spec);
  const std::string_view function = by_token ? "fused_by_token" : "fused";
  const std::string frequencies = spec.angles == Angles::computed
                                      ? fmt::format("Frequencies<{}>", spec.rope_dim / 2)
                                      : std::string();
  const std::string text = fmt::format(
      "#include \"{0}.cuh\"\n\n"
      "extern \"C\" __global__ void __launch_bounds__({1})\n"
      "{2}{3}",
      function, bounds_of(v), entry,
      body(params_of(spec), frequencies,
           fmt::format("{}<{},\n               {}>", function, initializer_of(spec),
                       initializer_of(v)),
           by_token ? "params" : "params, blockIdx.x"));
  return {entry, "/qkjit/" + entry + ".cu", text};
}

Source fused_source(const Streams& streams, const Variants& variants) {
  if (!streams.second) return fused_source(streams.first, variants.first);
  return dual_source(streams.first, *streams.second, variants);
}

std::string fused_entry(const Streams& streams) {
  return streams.second ? dual_entry_name(streams.first, *streams.second)
                        : entry_name(streams.first);
}

Source generic_source(const GenericKind& kind) {
  const std::string entry = generic_entry(kind);
  const bool by_token = is_by_token(kind.forms), computed = is_computed(kind.forms);
  const std::string call =
      by_token ? fmt::format("generic_by_token<qkjit::DType::{}, qkjit::Forms::{}>",
                             name_of(kind.dtype), computed ? "computed" : "all")
               : fmt::format("generic<qkjit::DType::{}, {}, qkjit::Forms::{}>", name_of(kind.dtype),
                             kind.slots, forms_name(kind.forms));
  const std::string text = fmt::format(
      "#include \"{4}.cuh\"\n\n"
      "extern \"C\" __global__ void __launch_bounds__(qkjit::kGenericThreads, "
      "qkjit::generic_blocks({1}, qkjit::Forms::{2}))\n"
      "{0}{3}",
      entry, kind.slots, forms_name(kind.forms),
      body("GenericParams", computed ? "AllFrequencies" : "", call, "params"),
      by_token ? "generic_by_token" : "generic");
  return {entry, "/qkjit/" + entry + ".cu", text};
}

std::string generic_file(const GenericKind& kind, int capability) {
  return fmt::format("{}_sm_{}.ptx.zst", generic_entry(kind), capability);
}

std::string generic_entry(const GenericKind& kind) {
  return fmt::format("qkjit_generic_{}_{}_{}", name_of(kind.dtype), kind.slots,
                     forms_name(kind.forms));
}

}  // namespace qkjit
