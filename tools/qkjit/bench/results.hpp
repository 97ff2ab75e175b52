// What was measured, and the ratios that follow from it.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "spec/path.hpp"
#include "tools/qkjit/bench/cases.hpp"

namespace qkjit::bench {

/// GPU microseconds of one launch, over the replays of a graph.
struct Timing {
  double median = 0, p10 = 0, p90 = 0;
};

Timing timing_of(const std::vector<double>& microseconds);

struct CaseResult {
  Case measured;
  Dispatch dispatch;  ///< of the call whose path the library chooses
  Timing copy_before, copy_after, empty;
  std::optional<Timing> fused, generic, split;  ///< none: cannot be had, `notes` says why
  std::vector<std::string> notes;
  double qk_bytes = 0;     ///< of q and k, read and written
  double moved_bytes = 0;  ///< those and the table rows, positions and weights that are read

  /// Of the two copies the quicker: disturbances only ever add time.
  double copy() const { return std::min(copy_before.median, copy_after.median); }
  double gigabytes_per_second() const;  ///< of q and k; 0 without a fused kernel

  /// Per cent of the copy that a time reaches: copy / time.
  double percent_of_copy(const std::optional<Timing>& time) const;
  /// The same, counting every byte that the operation must move.
  double rate_percent() const;
};

/// How a set of cases compares with the copy.
struct Average {
  std::string name;
  std::size_t cases = 0;
  double time_percent = 0, rate_percent = 0;  ///< geometric means
  double least_percent = 0;                   ///< the worst time per cent, and whose it is
  std::string least;

  double worst_over_copy() const { return 100 / least_percent; }  ///< its time / the copy's
};

/// One average for each dtype's cases of 4096 and more tokens, one for 1024 tokens, one for 256
/// tokens and fewer; without those that have no cases.
std::vector<Average> summarize(const std::vector<CaseResult>& results);

nlohmann::json to_json(const CaseResult& result);
nlohmann::json to_json(const Average& average);

}  // namespace qkjit::bench
