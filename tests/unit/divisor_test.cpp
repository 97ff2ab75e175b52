// Division by a multiplication, against the division.
#include "kernels/divisor.cuh"

#include "tests/catch.hpp"

using namespace qkjit;

TEST_CASE("a divisor divides every number below 2^31 exactly where it could go wrong",
          "[divisor]") {
  constexpr unsigned kEnd = 1u << 31;
  std::size_t wrong = 0;
  const auto check = [&](unsigned n, unsigned d, Divisor by) { wrong += n / by != n / d; };
  for (unsigned d = 1; d < kEnd; d = d < 4096 ? d + 1 : d + d / 97) {
    const Divisor by = Divisor::of(d);
    // A quotient is wrong first next to a multiple of the divisor, and most easily a large one.
    for (unsigned k = 0; k < 64; ++k) {
      const unsigned largest = (kEnd - 1) / d, multiple = (largest - k % (largest + 1)) * d;
      check(multiple, d, by);
      if (multiple > 0) check(multiple - 1, d, by);
      if (multiple + d - 1 < kEnd) check(multiple + d - 1, d, by);
    }
    check(kEnd - 1, d, by);
    check(d - 1, d, by);
  }
  CHECK(wrong == 0);
}
