#include "codegen/source.hpp"

#include <fmt/format.h>

#include "spec/names.hpp"

namespace qkjit {
namespace {

/// "qkjit_hd128_rd64_neox_bf16", with what is not the default behind it.
std::string entry_name(const Spec& spec) {
  std::string name = fmt::format("qkjit_hd{}_rd{}_{}_{}", spec.head_dim, spec.rope_dim,
                                 name_of(spec.layout), name_of(spec.dtype));
  if (spec.rounding != Rounding::fused) name += fmt::format("_{}", name_of(spec.rounding));
  if (spec.rope_dim > 0) name += fmt::format("_{}", name_of(spec.positions));
  return name;
}

std::string spec_initializer(const Spec& spec) {
  return fmt::format(
      "qkjit::Spec{{.head_dim = {}, .rope_dim = {}, .layout = qkjit::Layout::{}, .dtype = "
      "qkjit::DType::{},\n"
      "                .rounding = qkjit::Rounding::{}, .positions = qkjit::Positions::{}}}",
      spec.head_dim, spec.rope_dim, name_of(spec.layout), name_of(spec.dtype),
      name_of(spec.rounding), name_of(spec.positions));
}

}  // namespace

std::string to_text(const Variant& variant) {
  return fmt::format("lanes={},threads={}", variant.lanes, variant.threads);
}

Source fused_source(const Spec& spec, const Variant& variant) {
  const std::string entry = entry_name(spec);
  const std::string text = fmt::format(
      "#include \"fused.cuh\"\n\n"
      "extern \"C\" __global__ void __launch_bounds__({})\n"
      "{}(const __grid_constant__ qkjit::Params params) {{\n"
      "  qkjit::fused<{},\n"
      "               qkjit::Variant{{.lanes = {}, .threads = {}}}>(params);\n"
      "}}\n",
      variant.threads, entry, spec_initializer(spec), variant.lanes, variant.threads);
  return {entry, "/qkjit/" + entry + ".cu", text};
}

}  // namespace qkjit
