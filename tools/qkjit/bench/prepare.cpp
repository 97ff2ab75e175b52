#include "tools/qkjit/bench/prepare.hpp"

#include <set>

#include "spec/text.hpp"
#include "tools/qkjit/parallel.hpp"

namespace qkjit::bench {
namespace {

/// The case's own spec and those of the two launches that it replaces.
std::vector<Spec> specs_of(const std::vector<Case>& cases) {
  std::set<std::string> texts;
  for (const Case& c : cases) {
    texts.insert(to_text(c.spec));
    if (c.spec.rope_dim == 0 || !has_norm(c.spec)) continue;
    texts.insert({norm_only(c.spec), rope_only(c.spec)});
  }
  std::vector<Spec> specs;
  for (const std::string& text : texts) {
    if (const auto spec = parse_spec(text)) specs.push_back(*spec);
  }
  return specs;
}

}  // namespace

void prepare(Runtime& runtime, const Console& console, const std::vector<Case>& cases,
             const std::string& target) {
  const std::vector<Spec> specs = specs_of(cases);
  console.note(fmt::format("preparing the kernels of {} specs for {}", specs.size(), target));
  for_each_index(specs.size(), [&](std::size_t i) {
    if (const auto done = runtime.prepare_for(specs[i], target); !done) {
      console.note(fmt::format("not prepared: {}: {}", to_text(specs[i]), done.error().message));
    }
  });
}

}  // namespace qkjit::bench
