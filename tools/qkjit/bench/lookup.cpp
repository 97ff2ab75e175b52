#include "tools/qkjit/bench/lookup.hpp"

#include <array>

#include "kernel_table.hpp"
#include "tools/qkjit/bench/statistics.hpp"
#include "tools/qkjit/bench/stopwatch.hpp"

namespace qkjit::bench {
namespace {

constexpr int kBatches = 201, kRounds = 500;
constexpr double kNanosecondsPerMillisecond = 1e6;

Spec spec_of(int i) { return {.head_dim = 8 * (i + 1), .rope_dim = 8 * (i + 1)}; }

}  // namespace

double measure_lookup() {
  KernelTable table;
  std::array<Spec, kLookupSpecs> specs;
  for (int i = 0; i < kLookupSpecs; ++i) {
    specs[static_cast<std::size_t>(i)] = spec_of(i);
    table.insert(KernelTable::fused_key(spec_of(i), 0), {});
  }
  std::vector<double> batches;
  std::size_t found = 0;  // used below, so that no lookup can be left out
  for (int batch = 0; batch < kBatches; ++batch) {
    Stopwatch watch;
    for (int round = 0; round < kRounds; ++round) {
      for (const Spec& spec : specs) {
        found += table.find(KernelTable::fused_key(spec, 0)) != nullptr;
      }
    }
    batches.push_back(watch.lap_ms() * kNanosecondsPerMillisecond / (kRounds * kLookupSpecs));
  }
  const bool found_all = found == std::size_t{kBatches} * kRounds * kLookupSpecs;
  return found_all ? median(batches) : -1;
}

}  // namespace qkjit::bench
