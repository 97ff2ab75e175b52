#include "tools/qkjit/bench/prepare.hpp"

#include <atomic>
#include <set>
#include <thread>

#include "spec/text.hpp"

namespace qkjit::bench {
namespace {

constexpr unsigned kMostThreads = 8;  // where NVRTC stops to gain

/// The case's own spec and those of the two launches that it replaces.
std::vector<Spec> specs_of(const std::vector<Case>& cases) {
  std::set<std::string> texts;
  for (const Case& c : cases) {
    texts.insert(to_text(c.spec));
    if (c.spec.rope_dim == 0 || c.spec.norm == Norm::none) continue;
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
  std::atomic<std::size_t> next{0};
  const auto work = [&] {
    for (std::size_t i = next++; i < specs.size(); i = next++) {
      if (const auto done = runtime.prepare_for(specs[i], target); !done) {
        console.note(fmt::format("not prepared: {}: {}", to_text(specs[i]), done.error().message));
      }
    }
  };
  const unsigned threads = std::clamp(std::thread::hardware_concurrency(), 1u, kMostThreads);
  std::vector<std::jthread> workers;
  for (unsigned i = 1; i < threads; ++i) workers.emplace_back(work);
  work();
}

}  // namespace qkjit::bench
