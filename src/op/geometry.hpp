// How many blocks a call needs, and which rows each has.
#pragma once

#include <memory>

#include "kernels/generic_params.cuh"
#include "kernels/variant.cuh"
#include "op/check.hpp"
#include "util/grid.hpp"

namespace qkjit {

struct FusedLaunch {
  OutputParams params;  ///< of which most kernels take the begin
  Grid grid;
  std::shared_ptr<const AllFrequencies> frequencies;  ///< the second argument of computed angles
};
FusedLaunch fused_launch(const Operation& op, const Variant& variant);

/// Whose a token's q, or its k, is where heads have vectors of their own.
enum class TeamSize { block, warp };

/// The faster one for the call.
TeamSize team_size_of(const Operation& op, const Variant& variant);

/// The same launch with either; a warp's tensors are staged, and at most kMostStagedTokenBytes.
FusedLaunch launch_of_teams(const Operation& op, const Variant& variant, TeamSize team);

struct GenericLaunch {
  GenericParams params;
  Grid grid;
  std::shared_ptr<const AllFrequencies> frequencies;  ///< likewise
};
GenericLaunch generic_launch(const Operation& op);

/// What the generic kernel is told: its spec says of the call too whether batches fold.
Spec generic_spec(const Operation& op);

/// Slots of the generic kernel that takes the spec; see kernels/generic_params.cuh.
int generic_slots(const Spec& spec);
GenericKind generic_kind(const Spec& spec);

}  // namespace qkjit
