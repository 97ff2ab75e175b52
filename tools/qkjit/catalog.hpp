// The models that the program knows, and those in files.
#pragma once

#include <string>
#include <vector>

#include "tools/qkjit/model.hpp"

namespace qkjit {

/// Names of the embedded models, in alphabetical order.
std::vector<std::string> model_names();

/// An embedded model by name, or a file if the name ends in ".json". Code::unsupported with the
/// nearest name for one that is not known.
Result<Model> find_model(const std::string& name);

/// The specs of the calls that the library can do, each once, in the order of the calls.
std::vector<Spec> specs_of(const Model& model);

}  // namespace qkjit
