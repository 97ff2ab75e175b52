// What `bench` measures: plain data, one case a shape.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/spec.cuh"
#include "tools/qkjit/model.hpp"
#include "util/error.hpp"

namespace qkjit::bench {

/// Rows of the cos/sin table into which random positions point: a model's longest context.
inline constexpr std::int64_t kRandomTableRows = 131'072;

struct Case {
  std::string group;  ///< "models", "measured", "grid", or "spec" for one of the user's own
  std::string name;
  Spec spec;
  std::int64_t tokens = 0;
  int heads_q = 0, heads_k = 0;   ///< 0: a call without q, or without k
  PackedView view = {};           ///< row_stride 0: q and k contiguous
  std::int64_t table_rows = 0;    ///< 0 for norm only
  bool random_positions = false;  ///< else 0, 1, ...; means nothing for Positions::implicit
  std::int64_t position_offset = 0;
  float eps = 1e-6f;
  std::vector<std::string> also = {};  ///< "group/name" of equal cases that this one stands for

  std::int64_t rows() const { return tokens * (heads_q + heads_k); }
  std::string full_name() const { return group + "/" + name; }
};

/// Whether two cases ask the same of a kernel: spec, sizes, view and kind of positions.
bool same_shape(const Case& a, const Case& b);

/// The two specs, as text, of the launches that a fused one replaces: a norm, then a rotation.
std::string norm_only(Spec spec);
std::string rope_only(Spec spec);

/// Every call of the model that the library can do.
std::vector<Case> model_cases(const Model& model);
/// The shapes that published measurements of this operation use.
std::vector<Case> measured_cases();
/// head_dim, rope_dim, layout, dtype, view and head counts, one varied at a time.
std::vector<Case> grid_cases();
/// A spec of the user's own: random positions if the spec takes any.
Case spec_case(const Spec& spec, std::int64_t tokens, int heads_q, int heads_k);

/// Each shape once, in the given order; the first keeps the names of those that equal it.
std::vector<Case> without_duplicates(const std::vector<Case>& cases);

}  // namespace qkjit::bench
