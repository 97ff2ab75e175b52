// Times the contenders of one case after another, all in the same memory and by the same method.
#pragma once

#include <functional>
#include <span>

#include "runtime.hpp"
#include "tools/qkjit/bench/contenders.hpp"
#include "tools/qkjit/bench/placement.hpp"
#include "tools/qkjit/bench/results.hpp"

namespace qkjit::bench {

struct Method {
  int replays = 15;
  bool resident = false;          ///< one set that stays in the L2 cache, not sets that leave it
  std::size_t rotated_bytes = 0;  ///< that sets together touch, so that nothing is left in L2

  /// The case's memory by this method.
  Result<Placement> place(const Case& wanted) const;
};

/// The method for an L2 cache of this size.
Method method_for(std::size_t l2_bytes, int replays, bool resident);

/// The case's kernel, tuned in some way and loaded.
struct Candidate {
  Variant variant;
  LoadedKernel kernel;
};

class Contest {
 public:
  /// With one pool for all cases.
  static Result<Contest> open(Runtime& runtime, const Workspace& gpu, const Method& method,
                              const std::vector<Case>& cases, const std::string& target);

  Result<CaseResult> run(const Case& wanted);

  /// Microseconds of the copy, and of the fused kernel in each of some variants.
  struct Comparison {
    double copy;
    std::vector<double> candidates;
  };
  Result<Comparison> compare(const Case& wanted, std::span<const Candidate> candidates);

 private:
  Contest(Runtime& runtime, const Workspace& gpu, const Method& method, Contenders contenders,
          DeviceBuffer pool);

  /// Queues one launch over a set.
  using Launch = std::function<Result<void>(std::size_t set)>;

  Launch copy(const Case& wanted, const Placement& placement) const;
  Launch operation(const Case& wanted, const Placement& placement, const qkjit_spec& spec,
                   Path path) const;
  Result<Launch> split(const Case& wanted, const Placement& placement) const;

  Result<Timing> time(const Placement& placement, const Launch& launch) const;
  /// None, with a note in the result, if the contender cannot be launched at all.
  Result<std::optional<Timing>> time_if_any(const Placement& placement, const char* name,
                                            const Result<Launch>& launch, CaseResult& result) const;

  Runtime& runtime_;
  const Workspace& gpu_;
  Method method_;
  Contenders contenders_;
  DeviceBuffer pool_;
  std::byte* base_;
  std::vector<std::byte> pattern_;
};

}  // namespace qkjit::bench
