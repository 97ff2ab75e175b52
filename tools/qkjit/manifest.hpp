// What to precompile: models, specs and targets, from options and from a manifest file.
#pragma once

#include <string>
#include <vector>

#include "jit/jit.hpp"
#include "tools/qkjit/console.hpp"

namespace qkjit {

struct Manifest {
  std::vector<std::string> models, specs, targets;

  void append(const Manifest& other);
};

/// {"schema": "qkjit.manifest/1", "models": [...], "specs": [...], "targets": [...]}; strict.
Result<Manifest> read_manifest(const std::string& file);

/// The fused specs of the manifest, each once. Calls that the library cannot do, and specs that
/// only the generic kernel serves, are noted and left out; it is an error if nothing remains.
Result<std::vector<Spec>> resolve_specs(const Manifest& manifest, const Console& console);

/// "native" becomes the first GPU's target, "all" every target of the compiler.
Result<std::vector<std::string>> resolve_targets(const std::vector<std::string>& targets, Jit& jit);

}  // namespace qkjit
