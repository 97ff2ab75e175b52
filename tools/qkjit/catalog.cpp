#include "tools/qkjit/catalog.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>

#include "util/embedded_file.hpp"
#include "util/file.hpp"
#include "util/nearest.hpp"

namespace qkjit {
namespace {

constexpr std::string_view kExtension = ".json";
constexpr std::size_t kMaxModelBytes = 1 << 20;

}  // namespace

std::vector<std::string> model_names() {
  std::vector<std::string> names;
  for (const EmbeddedFile& file : embedded_models()) {
    names.emplace_back(file.name.substr(0, file.name.size() - kExtension.size()));
  }
  std::ranges::sort(names);
  return names;
}

Result<Model> find_model(const std::string& name) {
  if (name.ends_with(kExtension)) {
    if (std::error_code ignored; !std::filesystem::exists(name, ignored)) {
      return fail(Code::unsupported, "there is no model file {}", name);
    }
    const auto text = read_file(name, kMaxModelBytes);
    return text ? parse_model(*text) : tl::unexpected(text.error());
  }
  for (const EmbeddedFile& file : embedded_models()) {
    if (file.name == name + std::string(kExtension)) return parse_model(file.text);
  }
  return fail(Code::unsupported,
              "model '{}' is unknown; nearest is {}. Models are {}, or a file.json", name,
              nearest(name, model_names()), fmt::join(model_names(), ", "));
}

std::vector<Spec> specs_of(const Model& model) {
  std::vector<Spec> specs;
  for (const Call& call : model.calls) {
    const Spec spec = spec_of(model, call);
    if (std::ranges::find(specs, spec) == specs.end()) specs.push_back(spec);
  }
  return specs;
}

}  // namespace qkjit
