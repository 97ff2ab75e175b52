// The fused kernel in fp32: the same bytes as the CPU path.
#include "tests/catch.hpp"
#include "tests/simt/fused_specs.hpp"

using namespace qkjit;
using namespace qkjit::simt;

TEST_CASE("fused, fp32: heads up to 80 give the bytes of the CPU path") {
  check_specs<DType::fp32, 0, kSmallSpecs>();
}

TEST_CASE("fused, fp32: larger heads give the bytes of the CPU path") {
  check_specs<DType::fp32, kSmallSpecs, kSpecsPerDtype>();
}
