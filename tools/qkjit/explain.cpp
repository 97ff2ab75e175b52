// qkjit explain: which path serves a spec, and why its kernels are or are not in the cache.
#include <algorithm>
#include <memory>

#include "spec/text.hpp"
#include "tools/qkjit/catalog.hpp"
#include "tools/qkjit/commands.hpp"
#include "tools/qkjit/explain_report.hpp"
#include "tools/qkjit/manifest.hpp"
#include "tools/qkjit/session.hpp"
#include "tuning/builtin.hpp"
#include "tuning/tuning.hpp"

namespace qkjit {
namespace {

/// As the library chooses: with what was measured on this machine's GPU, if the target is its.
class Chooser {
 public:
  explicit Chooser(Runtime& runtime)
      : tuning_(tuning_directories(runtime.jit().options()), runtime.log()) {
    if (const auto driver = Driver::open()) {
      device_ = (*driver)->device_name(0).value_or("");
      target_ = (*driver)->target(0).value_or("");
    }
  }
  const std::string& target() const { return target_; }
  Choices choices(const Spec& spec, const std::string& target) {
    return target == target_ ? tuning_.choices(spec, device_, target)
                             : builtin_choices(spec, target);
  }

 private:
  Tuning tuning_;
  std::string device_, target_;
};

struct Options {
  Manifest wanted;
  std::string spec;
};

Result<std::vector<Spec>> specs_of(const Options& options) {
  std::vector<Spec> specs;
  if (!options.spec.empty()) {
    const auto spec = parse_spec(options.spec);
    if (!spec) return tl::unexpected(spec.error());
    specs.push_back(*spec);
  }
  for (const std::string& name : options.wanted.models) {
    const auto model = find_model(name);
    if (!model) return tl::unexpected(model.error());
    std::ranges::copy(specs_of(*model), std::back_inserter(specs));
  }
  if (!specs.empty()) return specs;
  return fail(Code::invalid_argument,
              "nothing is given to explain: give a spec such as "
              "head_dim=128,rope_dim=128,layout=neox,dtype=bf16, or --model");
}

Exit explain(const Console& console, const Options& options) {
  const auto specs = specs_of(options);
  if (!specs) return report(specs.error());
  const auto runtime = open_runtime(console);
  if (!runtime) return report(runtime.error());
  Jit& jit = (*runtime)->jit();
  Chooser chooser(**runtime);
  std::vector<std::string> asked = options.wanted.targets;
  if (asked.empty()) asked.push_back(chooser.target().empty() ? "sm_90" : chooser.target());
  const auto targets = resolve_targets(asked, jit);
  if (!targets) return report(targets.error());

  nlohmann::json document = print_place(console, jit), explained = nlohmann::json::array();
  for (const std::string& target : *targets) {
    for (const Spec& spec : *specs) {
      const auto explanation = explain(jit, spec, target, chooser.choices(spec, target));
      if (!explanation) return report(explanation.error());
      console.print("");
      print(console, *explanation);
      explained.push_back(to_json(*explanation));
    }
  }
  document["explained"] = explained;
  console.print_json(document);
  return Exit::good;
}

}  // namespace

void add_explain(CLI::App& app, const Console& console, Exit& exit) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand(
      "explain",
      "Which path serves a spec, and why its kernels are or are not in the cache; needs neither "
      "compiler nor GPU");
  command->add_option("spec", options->spec, "A spec such as head_dim=128,rope_dim=128,...");
  command->add_option("--model", options->wanted.models, "Every spec of models");
  command
      ->add_option("--target", options->wanted.targets,
                   "sm_90, ... or native; the GPU's, or sm_90 where there is none, if left out")
      ->delimiter(',');
  command->callback([options, &console, &exit] { exit = explain(console, *options); });
}

}  // namespace qkjit
