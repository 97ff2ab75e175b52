#include "tools/qkjit/manifest.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "cuda/driver.hpp"
#include "spec/support.hpp"
#include "spec/text.hpp"
#include "tools/qkjit/catalog.hpp"
#include "util/file.hpp"

namespace qkjit {
namespace {

constexpr std::size_t kMaxFileBytes = 1 << 20;

template <class T>
void append_new(std::vector<T>& to, const std::vector<T>& from) {
  for (const T& item : from) {
    if (std::ranges::find(to, item) == to.end()) to.push_back(item);
  }
}

Result<std::vector<Spec>> model_specs(const std::string& name) {
  const auto model = find_model(name);
  if (!model) return tl::unexpected(model.error());
  return specs_of(*model);
}

}  // namespace

void Manifest::append(const Manifest& other) {
  append_new(models, other.models);
  append_new(specs, other.specs);
  append_new(targets, other.targets);
}

Result<Manifest> read_manifest(const std::string& file) {
  const auto text = read_file(file, kMaxFileBytes);
  if (!text) return tl::unexpected(text.error());
  try {
    const auto document = nlohmann::json::parse(*text);
    if (const auto schema = document.value("schema", ""); schema != "qkjit.manifest/1") {
      return fail(Code::invalid_argument, "{}: schema is \"{}\", needed is \"qkjit.manifest/1\"",
                  file, schema);
    }
    Manifest manifest;
    for (const auto& [field, value] : document.items()) {
      if (field == "models") {
        manifest.models = value;
      } else if (field == "specs") {
        manifest.specs = value;
      } else if (field == "targets") {
        manifest.targets = value;
      } else if (field != "schema") {
        return fail(Code::invalid_argument,
                    "{}: field '{}' is unknown; fields are schema, models, specs, "
                    "targets",
                    file, field);
      }
    }
    return manifest;
  } catch (const nlohmann::json::exception& error) {
    return fail(Code::invalid_argument, "{} is no manifest: {}", file, error.what());
  }
}

Result<std::vector<Spec>> resolve_specs(const Manifest& manifest, const Console& console) {
  std::vector<std::string> models = manifest.models;
  if (std::ranges::find(models, "all") != models.end()) models = model_names();
  std::vector<Spec> wanted;
  for (const std::string& name : models) {
    const auto specs = model_specs(name);
    if (!specs) return tl::unexpected(specs.error());
    append_new(wanted, *specs);
  }
  for (const std::string& text : manifest.specs) {
    const auto spec = parse_spec(text);
    if (!spec) return tl::unexpected(spec.error());
    append_new(wanted, {*spec});
  }
  std::vector<Spec> fused;
  for (const Spec& spec : wanted) {
    const auto support = supports(spec);
    if (!support) return tl::unexpected(support.error());
    if (support->dispatch.path == Path::fused) {
      fused.push_back(spec);
    } else {
      console.note(fmt::format("{}: left out, {}", to_text(spec), support->text));
    }
  }
  if (!fused.empty()) return fused;
  return fail(
      wanted.empty() && models.empty() ? Code::invalid_argument : Code::unsupported,
      "there is nothing to compile: name models or specs that the fused kernel serves, with "
      "--model, --spec or --manifest");
}

Result<std::vector<std::string>> resolve_targets(const std::vector<std::string>& targets,
                                                 Jit& jit) {
  std::vector<std::string> resolved;
  for (const std::string& target : targets) {
    if (target == "native") {
      const auto driver = Driver::open();
      if (!driver) return tl::unexpected(driver.error());
      const auto native = (*driver)->target(0);
      if (!native) return tl::unexpected(native.error());
      append_new(resolved, {*native});
    } else if (target == "all") {
      const auto compiler = jit.compiler();
      if (!compiler) return tl::unexpected(compiler.error());
      append_new(resolved, (*compiler)->targets());
    } else if (target.starts_with("sm_")) {
      append_new(resolved, {target});
    } else {
      return fail(Code::invalid_argument,
                  "target '{}' names no GPU: use one such as sm_90, or native, or all", target);
    }
  }
  if (!resolved.empty()) return resolved;
  return fail(Code::invalid_argument, "no target is given: add --target sm_90, native or all");
}

}  // namespace qkjit
