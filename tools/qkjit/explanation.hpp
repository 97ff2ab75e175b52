// Why a spec's kernels would, or would not, come from the cache: told without compiler or GPU.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "jit/jit.hpp"
#include "spec/support.hpp"
#include "tools/qkjit/near_entry.hpp"
#include "tuning/choice.hpp"

namespace qkjit {

/// A variant that the library wants for some of the spec's calls.
struct VariantExplanation {
  Choice choice;
  std::string entry;  ///< the kernel's name
  Key key;
  std::vector<LayerLookup> layers;  ///< the last may have the kernel
  std::optional<NearEntry> near;    ///< where none has it

  bool is_hit() const { return !layers.empty() && layers.back().kernel; }
};

struct Explanation {
  Spec spec;
  std::string target;
  Dispatch dispatch;  ///< what would serve a call that is the first of its process
  std::string why;
  std::vector<VariantExplanation> variants;  ///< none where the spec has no fused kernel
};

/// `choices` are those of the spec and target. Changes nothing in the cache. The error is that of
/// supports().
Result<Explanation> explain(Jit& jit, const Spec& spec, const std::string& target,
                            const Choices& choices);

/// The compiler's file, as far as it can be told without opening it; empty if it cannot.
std::string compiler_file(const JitOptions& options);

}  // namespace qkjit
