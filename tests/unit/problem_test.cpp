// Generated problems, their comparison, and the CPU path over what they vary: where rows lie and
// how positions are given changes no bit of the result.
#include "tests/support/problem.hpp"

#include "tests/catch.hpp"
#include "tests/support/compare.hpp"
#include "tests/support/runtime.hpp"

using namespace qkjit;
using namespace qkjit::test;

namespace {

constexpr Spec kSpec{.head_dim = 40, .rope_dim = 24, .layout = Layout::neox};

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

std::vector<std::byte> outputs_on_host(const ProblemConfig& config) {
  const Problem before(config);
  Problem after = before;
  run_on_host(after);
  CHECK(first_stray_write(before, after) == "");
  return gather_outputs(after);
}

}  // namespace

TEST_CASE("problem: the seed decides every byte") {
  const ProblemConfig config{.spec = kSpec, .data = Data::special};
  CHECK(first_difference("again", Problem(config), Problem(config)) == "");
  ProblemConfig other = config;
  other.seed = 2;
  CHECK(first_difference("other seed", Problem(config), Problem(other)) != "");
}

TEST_CASE("problem: a difference is named by tensor, token, head and element") {
  const Problem before({.spec = kSpec, .strides = Strides::gaps, .in_place = false});
  for (const Argument& a : before.outputs()) {
    Problem after = before;
    const std::int64_t at = 4 * a.view.strides[0] + 1 * a.view.strides[1] + 17;
    auto& bytes = after.blocks()[a.block].bytes;
    bytes[a.offset + static_cast<std::size_t>(at) * 2] ^= std::byte{1};
    const std::string message = first_difference("test", before, after);
    CHECK(contains(message, std::string(a.name) + "[token 4, head 1, element 17]"));
    CHECK(contains(message, "is 0xfffe (-nan), expected 0xffff (-nan)"));
    CHECK(first_stray_write(before, after) == "");

    bytes[a.offset - 1] = std::byte{0};
    CHECK(contains(first_stray_write(before, after),
                   "byte 63 of block " + std::string(a.name) + ", outside of all rows, is 0x00"));
  }
}

TEST_CASE("problem: in place, a write between rows and a write to a weight are stray") {
  const Problem before({.spec = kSpec, .strides = Strides::packed});
  Problem after = before;
  const Argument k = before.outputs()[1];
  auto& qkv = after.blocks()[k.block].bytes;
  qkv[k.offset + 2 * 40 * 2] = std::byte{0};  // behind the second and last head of token 0: V
  CHECK(contains(first_stray_write(before, after), "block qkv, outside of all rows"));
  after = before;
  after.blocks()[1].bytes[3] ^= std::byte{1};
  CHECK(contains(first_stray_write(before, after), "block q_weight, outside of all rows"));
}

TEST_CASE("cpu: strides, alignment and in place or not change no bit") {
  ProblemConfig config{.spec = kSpec, .data = GENERATE(Data::normal, Data::special)};
  const auto expected = outputs_on_host(config);
  CHECK(expected != gather_outputs(Problem(config)));
  for (const Strides strides :
       {Strides::contiguous, Strides::packed, Strides::head_major, Strides::gaps}) {
    for (const bool in_place : {true, false}) {
      for (const int misalignment : {0, 1, 3}) {
        config.strides = strides, config.in_place = in_place, config.misalignment = misalignment;
        CAPTURE(to_text(config));
        CHECK(outputs_on_host(config) == expected);
      }
    }
  }
}

TEST_CASE("cpu: int32 and int64 positions and implicit ones agree") {
  ProblemConfig config{.spec = kSpec, .position_offset = 7};
  config.spec.positions = Positions::int64;
  const auto explicit64 = outputs_on_host(config);
  config.spec.positions = Positions::int32;
  CHECK(outputs_on_host(config) == explicit64);
  config.spec.positions = Positions::implicit;
  CHECK(outputs_on_host(config) != explicit64);  // random rows of the table are not rows in order

  Problem in_order({.spec = kSpec, .position_offset = 7});
  for (const Argument& a : in_order.arguments()) {
    if (a.field != &qkjit_args::positions) continue;
    auto* const positions =
        reinterpret_cast<std::int64_t*>(in_order.blocks()[a.block].bytes.data() + a.offset);
    for (std::int64_t token = 0; token < 5; ++token) positions[token] = token;
  }
  run_on_host(in_order);
  CHECK(outputs_on_host(config) == gather_outputs(in_order));
}
