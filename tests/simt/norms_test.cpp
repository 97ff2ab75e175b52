// Every kind of norm in the fused and the generic kernel: the same bytes as the CPU path.
#include <utility>

#include "spec/text.hpp"
#include "tests/catch.hpp"
#include "tests/simt/paths.hpp"
#include "tests/support/norm_specs.hpp"

using namespace qkjit;
using namespace qkjit::simt;
using test::kNormSpecs;
using test::Problem;

namespace {

template <std::size_t kBegin, std::size_t kEnd>
void check_all_fused() {
  [&]<std::size_t... kNumber>(std::index_sequence<kNumber...>) {
    (check_fused(fused_kernel<kNormSpecs[kBegin + kNumber].spec()>(), kBegin + kNumber), ...);
  }
  (std::make_index_sequence<kEnd - kBegin>());
}

void check_generic(const Spec& spec, std::size_t number, int misalignment) {
  for (std::size_t i = 0; i < kCycle; ++i) {
    auto config = config_of_cycle(spec, number, i);
    config.misalignment = misalignment;
    const Problem before(config);
    Problem after = before;
    run_generic(checked(after.args()));
    check_against_cpu("generic", before, after);
  }
}

}  // namespace

TEST_CASE("norms, fused: the first half gives the bytes of the CPU path") {
  check_all_fused<0, kNormSpecs.size() / 2>();
}

TEST_CASE("norms, fused: the second half gives the bytes of the CPU path") {
  check_all_fused<kNormSpecs.size() / 2, kNormSpecs.size()>();
}

TEST_CASE("norms, generic: the bytes of the CPU path, aligned and not") {
  std::size_t number = 0;
  for (const test::SpecRow& row : kNormSpecs) {
    check_generic(row.spec(), number, 0);
    check_generic(row.spec(), number, 3);
    ++number;
  }
}

TEST_CASE("norms, generic: heads that end inside a chunk, and long ones") {
  std::size_t number = 0;
  for (const test::SpecRow& row : kNormSpecs) {
    for (const int head_dim : {1, 2, 7, 33, 250, 257, 1000}) {
      Spec spec = row.spec();
      spec.head_dim = head_dim;
      spec.rope_dim = spec.rope_dim == 0 ? 0 : std::min(spec.rope_dim, head_dim / 2 * 2);
      spec = normalized(spec);
      if (!supports(spec)) continue;
      check_generic(spec, number, static_cast<int>(number % 4));
      ++number;
    }
  }
}
