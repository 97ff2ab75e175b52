#include "tools/qkjit/explanation.hpp"

#include <algorithm>

#include "codegen/source.hpp"

namespace qkjit {
namespace {

std::vector<CacheDirectory> directories_of(const JitOptions& options) {
  std::vector<CacheDirectory> directories;
  if (options.writable) directories.push_back(*options.writable);
  for (const ReadOnlyDirectory& layer : options.read_only) directories.emplace_back(layer.path());
  return directories;
}

VariantExplanation explain_variant(Jit& jit, const Spec& spec, const std::string& target,
                                   const Choice& choice) {
  Key key = kernel_key(spec, choice.variant, target);
  auto layers = jit.look(key);
  VariantExplanation variant{choice, fused_source(spec, choice.variant).entry, std::move(key),
                             std::move(layers), std::nullopt};
  if (!variant.is_hit()) variant.near = near_entry(directories_of(jit.options()), variant.key);
  return variant;
}

/// What serves where the first variant, without which there is no fused path, is in no layer.
Dispatch without_entry(const JitOptions& options) {
  if (options.compile == CompilePolicy::never) return {Path::generic, Reason::compile_forbidden};
  if (compiler_file(options).empty()) return {Path::generic, Reason::nvrtc_missing};
  if (options.compile == CompilePolicy::background) {
    return {Path::generic, Reason::compile_pending};
  }
  return {Path::fused, Reason::none};
}

}  // namespace

std::string compiler_file(const JitOptions& options) {
  return options.find_compiler ? options.find_compiler() : std::string();
}

Result<Explanation> explain(Jit& jit, const Spec& spec, const std::string& target,
                            const Choices& choices) {
  const auto support = supports(spec);
  if (!support) return tl::unexpected(support.error());
  if (support->dispatch.path != Path::fused) {
    return Explanation{spec, target, support->dispatch, support->text, {}};
  }
  Explanation explanation{spec, target, {Path::fused, Reason::none}, {}, {}};
  for (const Choice& choice : choices) {
    explanation.variants.push_back(explain_variant(jit, spec, target, choice));
  }
  const auto hits = std::ranges::count_if(explanation.variants, &VariantExplanation::is_hit);
  if (!explanation.variants.front().is_hit()) explanation.dispatch = without_entry(jit.options());
  const bool compiles = without_entry(jit.options()).path == Path::fused;
  explanation.why = fmt::format(
      "{} of {} variants are in the cache{}", hits, choices.size(),
      static_cast<std::size_t>(hits) == choices.size() ? ""
      : compiles ? ", the others are compiled when the spec is first used"
                 : fmt::format("; {}", sentence_of(without_entry(jit.options()).reason)));
  return explanation;
}

}  // namespace qkjit
