// Calls with computed angles hand their frequencies to whatever kernel serves them.
#include "tests/catch.hpp"
#include "tests/driver/fixture.hpp"

using namespace qkjit;
using namespace qkjit::test;

namespace {

qkjit_args computed_call(double linear_factor) {
  qkjit_args args = small_call();
  args.spec.angles = QKJIT_ANGLES_COMPUTED;
  args.cos_sin_cache = QKJIT_TENSOR_INIT;
  args.frequencies.base = 1e4;
  args.frequencies.linear_factor = linear_factor;
  return args;
}

constexpr std::uint64_t kRadian = 0x28be60db9391054a;  // in 2^-64 of a turn

std::uint64_t first_frequency() { return fake_cuda().last_launch().frequencies.at(0); }

}  // namespace

TEST_CASE("computed angles: the fused kernel gets the frequencies of the call", "[driver]") {
  DriverFixture f;
  for (int round = 0; round < 3; ++round) {  // from the second on, the thread knows the calls
    CHECK(f.launch(computed_call(1)) == "fused (none)");
    CHECK(first_frequency() == kRadian);
    CHECK(f.launch(computed_call(2)) == "fused (none)");
    CHECK(first_frequency() == kRadian / 2);
    CHECK(f.launch(small_call()) == "fused (none)");
    CHECK(fake_cuda().last_launch().frequencies.empty());
  }
}

TEST_CASE("computed angles: so does the generic one, of its own kind", "[driver]") {
  DriverFixture f;
  qkjit_args args = computed_call(4);
  args.path = QKJIT_PATH_GENERIC;
  CHECK(f.launch(args) == "generic (requested)");
  CHECK(fake_cuda().last_launch().entry == "qkjit_generic_bf16_2_computed");
  CHECK(first_frequency() == (kRadian + 2) / 4);
}
