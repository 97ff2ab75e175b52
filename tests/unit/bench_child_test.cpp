// Work in a process of its own answers like work in this one.
#include "tools/qkjit/bench/child.hpp"

#include <stdexcept>

#include "tests/unit/mentions.hpp"

using namespace qkjit;
using namespace qkjit::bench;

TEST_CASE("a child's numbers and errors arrive", "[bench]") {
  const auto numbers = in_child([]() -> Result<std::vector<double>> {
    return std::vector<double>{1.5, -2};
  });
  REQUIRE(numbers.has_value());
  CHECK(*numbers == std::vector<double>{1.5, -2});
  const auto error = in_child(
      []() -> Result<std::vector<double>> { return fail(Code::not_ready, "no {} here", "GPU"); });
  CHECK(fails(error, Code::not_ready, {"no GPU here"}));
}

TEST_CASE("a child that throws ends, and says what it threw", "[bench]") {
  const auto thrown =
      in_child([]() -> Result<std::vector<double>> { throw std::runtime_error("out of reach"); });
  CHECK(fails(thrown, Code::internal, {"out of reach"}));
}
