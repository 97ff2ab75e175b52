#include "tools/qkjit/tune/tuner.hpp"

#include <algorithm>
#include <cmath>

#include "tools/qkjit/parallel.hpp"
#include "tools/qkjit/tune/candidates.hpp"

namespace qkjit::tune {
namespace {

constexpr double kTolerance = 0.01;  // below what a measurement tells apart

/// Every variant that can be had, compiled on several threads and loaded.
std::vector<bench::Candidate> load(Runtime& runtime, const Driver& driver, const Spec& spec,
                                   const std::vector<Variant>& variants,
                                   const std::string& target) {
  std::vector<Result<std::shared_ptr<const Kernel>>> kernels(variants.size());
  for_each_index(variants.size(),
                 [&](std::size_t i) { kernels[i] = runtime.compile(spec, variants[i], target); });
  std::vector<bench::Candidate> loaded;
  for (std::size_t i = 0; i < variants.size(); ++i) {
    if (!kernels[i]) continue;
    auto kernel = driver.load((*kernels[i])->cubin, (*kernels[i])->entry);
    if (kernel) loaded.push_back({variants[i], std::move(*kernel)});
  }
  return loaded;
}

Result<void> measure(bench::Contest& contest, const std::vector<bench::Candidate>& candidates,
                     SizeResult& size) {
  const auto comparison = contest.compare(size.measured, candidates);
  if (!comparison) return tl::unexpected(comparison.error());
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    const double time = comparison->candidates[i];
    size.variants.push_back({candidates[i].variant, time, 100 * comparison->copy / time});
  }
  std::ranges::sort(size.variants, std::ranges::greater{}, &Measured::percent_of_copy);
  return {};
}

}  // namespace

const Measured* SizeResult::find(const Variant& variant) const {
  const auto found = std::ranges::find(variants, variant, &Measured::variant);
  return found == variants.end() ? nullptr : &*found;
}

Choices choices_from(const std::vector<SizeResult>& sizes, double tolerance) {
  const auto in_registers = [](const Measured& m) {
    return m.variant.staging == Staging::registers;
  };
  Choices choices;
  std::uint64_t previous_bytes = 0;
  for (const SizeResult& size : sizes) {
    if (choices.empty()) {
      const auto first = std::ranges::find_if(size.variants, in_registers);
      if (first == size.variants.end()) continue;
      choices.push_back({0, first->variant});
    }
    const Measured* kept = size.find(choices.back().variant);
    const Measured& best = size.variants.front();
    if (!kept || kept->percent_of_copy < best.percent_of_copy * (1 - tolerance)) {
      // The change lies somewhere between the two sizes.
      const auto from =
          std::sqrt(static_cast<double>(previous_bytes) * static_cast<double>(size.bytes));
      choices.push_back(
          {std::max<std::uint64_t>(static_cast<std::uint64_t>(from), 1), best.variant});
    }
    previous_bytes = size.bytes;
  }
  return choices;
}

Result<SpecResult> tune_spec(Runtime& runtime, const Workspace& gpu, bench::Contest& contest,
                             const std::vector<bench::Case>& cases, const std::string& target) {
  SpecResult result{cases.front().spec, {}, {}};
  const Driver& driver = *gpu.driver();
  const auto broad =
      load(runtime, driver, result.spec, broad_candidates(result.spec, target), target);
  std::vector<Variant> turned;
  for (const bench::Case& wanted : cases) {
    SizeResult size{wanted, bench::qk_bytes(wanted), {}};
    if (auto done = measure(contest, broad, size); !done) return tl::unexpected(done.error());
    if (size.variants.empty()) {
      return fail(Code::compile_failed, "no variant of the kernel can be compiled for {}", target);
    }
    for (const Variant& variant : neighbours(result.spec, size.variants.front().variant, target)) {
      if (std::ranges::find(turned, variant) == turned.end()) turned.push_back(variant);
    }
    result.sizes.push_back(std::move(size));
  }
  const auto fine = load(runtime, driver, result.spec, turned, target);
  for (SizeResult& size : result.sizes) {
    if (auto done = measure(contest, fine, size); !done) return tl::unexpected(done.error());
  }
  result.choices = choices_from(result.sizes, kTolerance);
  if (auto checked = check_choices(result.spec, result.choices, target); !checked) {
    return tl::unexpected(checked.error());
  }
  return result;
}

}  // namespace qkjit::tune
