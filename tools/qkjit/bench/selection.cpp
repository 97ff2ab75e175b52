#include "tools/qkjit/bench/selection.hpp"

#include <algorithm>

#include "spec/support.hpp"
#include "spec/text.hpp"
#include "tools/qkjit/catalog.hpp"
#include "util/nearest.hpp"

namespace qkjit::bench {
namespace {

constexpr std::int64_t kDefaultTokens = 4096;

Result<void> append_model(const std::string& name, std::vector<Case>& cases) {
  const auto model = find_model(name);
  if (!model) return tl::unexpected(model.error());
  std::ranges::move(model_cases(*model), std::back_inserter(cases));
  return {};
}

Result<std::vector<Case>> candidates(const Selection& selection) {
  std::vector<Case> cases;
  if (!selection.spec.empty()) {
    const auto spec = parse_spec(selection.spec);
    if (!spec) return tl::unexpected(spec.error());
    if (auto known = supports(*spec); !known) return tl::unexpected(known.error());
    cases.push_back(spec_case(*spec, selection.tokens > 0 ? selection.tokens : kDefaultTokens,
                              selection.heads_q, selection.heads_k));
    return cases;
  }
  if (!selection.model.empty()) {
    if (auto added = append_model(selection.model, cases); !added) {
      return tl::unexpected(added.error());
    }
    if (!cases.empty()) return cases;
    return fail(Code::unsupported,
                "model {} has no call that the library supports; `qkjit run --model {}` says why",
                selection.model, selection.model);
  }
  const auto wanted = [&](const char* group) {
    return selection.groups.empty() ||
           std::ranges::find(selection.groups, group) != selection.groups.end();
  };
  if (wanted("models")) {
    for (const std::string& name : model_names()) {
      if (auto added = append_model(name, cases); !added) return tl::unexpected(added.error());
    }
  }
  if (wanted("measured")) std::ranges::move(measured_cases(), std::back_inserter(cases));
  if (wanted("grid")) std::ranges::move(grid_cases(), std::back_inserter(cases));
  return cases;
}

bool is_named(const Case& candidate, const std::string& part) {
  const auto has = [&](const std::string& name) { return name.find(part) != std::string::npos; };
  return has(candidate.full_name()) || std::ranges::any_of(candidate.also, has);
}

}  // namespace

Result<std::vector<Case>> select_cases(const Selection& selection) {
  auto all = candidates(selection);
  if (!all) return all;
  const std::vector<Case> unique = without_duplicates(*all);
  std::vector<Case> chosen;
  std::ranges::copy_if(unique, std::back_inserter(chosen),
                       [&](const Case& candidate) { return is_named(candidate, selection.name); });
  if (!chosen.empty()) return chosen;
  std::vector<std::string> names;
  for (const Case& candidate : unique) names.push_back(candidate.full_name());
  return fail(Code::unsupported,
              "no case has '{}' in its name; nearest is {}. `qkjit bench --list` shows all",
              selection.name, nearest(selection.name, names));
}

}  // namespace qkjit::bench
