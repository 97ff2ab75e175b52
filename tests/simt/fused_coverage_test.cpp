// What the list of fused specs must contain, so that nobody can shorten it unseen.
#include <set>

#include "tests/catch.hpp"
#include "tests/simt/fused_specs.hpp"

using namespace qkjit;
using namespace qkjit::simt;

namespace {

std::vector<Spec> all_specs() {
  std::vector<Spec> specs;
  for (const DType dtype : {DType::bf16, DType::fp16, DType::fp32}) {
    for (std::size_t i = 0; i < kSpecsPerDtype; ++i) specs.push_back(fused_spec(dtype, i));
  }
  return specs;
}

/// How many different values `project` has over all specs.
template <class Project>
std::size_t distinct(Project project) {
  std::set<decltype(project(Spec{}))> values;
  for (const Spec& spec : all_specs()) values.insert(project(spec));
  return values.size();
}

}  // namespace

TEST_CASE("fused coverage: every head_dim and rope_dim of interest occurs") {
  std::set<int> head_dims, rope_dims;
  for (const Spec& spec : all_specs())
    head_dims.insert(spec.head_dim), rope_dims.insert(spec.rope_dim);
  for (const int head_dim : {8, 16, 24, 40, 64, 72, 80, 96, 112, 128, 160, 192, 256, 320, 512}) {
    CAPTURE(head_dim);
    CHECK(head_dims.contains(head_dim));
  }
  for (const int rope_dim :
       {0, 2, 6, 8, 20, 24, 32, 40, 48, 64, 72, 96, 100, 112, 126, 128, 160, 256, 512}) {
    CAPTURE(rope_dim);
    CHECK(rope_dims.contains(rope_dim));
  }
}

TEST_CASE("fused coverage: all pairs of the enumerated fields occur") {
  const auto pair = [](auto a, auto b) {
    return [=](const Spec& spec) { return std::pair(spec.*a, spec.*b); };
  };
  CHECK(distinct(pair(&Spec::layout, &Spec::dtype)) == 6);
  CHECK(distinct(pair(&Spec::layout, &Spec::rounding)) == 10);
  CHECK(distinct(pair(&Spec::layout, &Spec::positions)) == 6);
  CHECK(distinct(pair(&Spec::dtype, &Spec::rounding)) == 15);
  CHECK(distinct(pair(&Spec::dtype, &Spec::positions)) == 9);
  CHECK(distinct(pair(&Spec::rounding, &Spec::positions)) == 15);
}

TEST_CASE("fused coverage: every shape meets every layout, dtype, rounding and position kind") {
  const auto with_shape = [](auto field) {
    return [=](const Spec& spec) { return std::tuple(spec.head_dim, spec.rope_dim, spec.*field); };
  };
  CHECK(distinct(with_shape(&Spec::layout)) == 2 * kShapes.size());
  CHECK(distinct(with_shape(&Spec::dtype)) == 3 * kShapes.size());
  CHECK(distinct(with_shape(&Spec::rounding)) == 5 * kShapes.size());
  CHECK(distinct(with_shape(&Spec::positions)) == 3 * kShapes.size());
}

TEST_CASE("fused coverage: neox in every pairing, in every dtype and rounding") {
  CHECK(distinct([](const Spec& spec) {
          const Pairing pairing = pairing_of(spec, default_variant(spec));
          return std::tuple(spec.dtype, spec.rounding, rotates_neox(spec),
                            rotates_neox(spec) ? pairing : Pairing::in_lane);
        }) == 3 * 5 * 4);
}
