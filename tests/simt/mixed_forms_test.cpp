// Kinds of norm together with forms of rotation, which the lists of either leave at their defaults.
#include <utility>

#include "spec/support.hpp"
#include "spec/text.hpp"
#include "tests/catch.hpp"
#include "tests/simt/paths.hpp"
#include "tests/simt/rope_forms.hpp"
#include "tests/support/norm_specs.hpp"

using namespace qkjit;
using namespace qkjit::simt;
using test::kNormSpecs;
using test::Problem;

namespace {

/// The form's rotation and shape under the norm of a row of kNormSpecs.
constexpr Spec mixed(std::size_t norm, int form) {
  const Spec from = kNormSpecs[norm % kNormSpecs.size()].spec();
  Spec spec = form_spec(form);
  spec.q_norm = from.q_norm, spec.k_norm = from.k_norm;
  spec.weight = from.weight, spec.bias = from.bias;
  spec.weight_dtype = from.weight_dtype, spec.norm_order = from.norm_order;
  spec.norm_scope = from.norm_scope;
  return spec;
}

template <int... kNumber>
void check_all_fused(std::integer_sequence<int, kNumber...>) {
  (check_fused(fused_kernel<mixed(3 * kNumber + 1, 4 * kNumber + 2)>(), kNumber), ...);
}

}  // namespace

TEST_CASE("mixed forms, fused: norms and rotations together give the bytes of the CPU path") {
  check_all_fused(std::make_integer_sequence<int, 11>());
}

TEST_CASE("mixed forms, generic: norms and rotations together give the bytes of the CPU path") {
  for (std::size_t norm = 0; norm < kNormSpecs.size(); ++norm) {
    for (int i = 0; i < 3; ++i) {
      const Spec spec = normalized(mixed(norm, static_cast<int>(5 * norm + 11 * i) % kForms));
      INFO(to_text(spec));
      REQUIRE(supports(spec).has_value());
      const Problem before(config_of_cycle(spec, norm, i));
      Problem after = before;
      run_generic(checked(after.args()));
      check_against_cpu("generic", before, after);
    }
  }
}
