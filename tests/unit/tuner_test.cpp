// From measured times to the variants that the library chooses from.
#include "tools/qkjit/tune/tuner.hpp"

#include <algorithm>

#include "spec/variant.hpp"
#include "tests/catch.hpp"
#include "tools/qkjit/tune/candidates.hpp"

using namespace qkjit;
using namespace qkjit::tune;

namespace {

constexpr Spec kSpec = {.head_dim = 128, .rope_dim = 128, .layout = Layout::neox};
constexpr Variant kSmall = {.lanes = 16, .rows = 1, .threads = 256};
constexpr Variant kMiddle = {.lanes = 16, .rows = 2, .threads = 128};
constexpr Variant kBulk = {.lanes = 16, .rows = 4, .threads = 64, .staging = Staging::bulk};

/// The fastest first, as tune_spec() leaves them.
SizeResult size_of_bytes(std::uint64_t bytes, std::vector<Measured> variants) {
  std::ranges::sort(variants, std::ranges::greater{}, &Measured::percent_of_copy);
  return {{}, bytes, std::move(variants)};
}

}  // namespace

TEST_CASE("each size gets its fastest variant, from between the sizes on", "[tune]") {
  const Choices choices = choices_from({size_of_bytes(100, {{kSmall, 1, 95}, {kMiddle, 1, 90}}),
                                        size_of_bytes(10'000, {{kSmall, 1, 80}, {kMiddle, 1, 97}})},
                                       0.01);
  CHECK(choices == Choices{{0, kSmall}, {1000, kMiddle}});
}

TEST_CASE("a variant stays as long as no other is clearly faster", "[tune]") {
  const Choices choices =
      choices_from({size_of_bytes(100, {{kSmall, 1, 95}, {kMiddle, 1, 90}}),
                    size_of_bytes(10'000, {{kSmall, 1, 96.5}, {kMiddle, 1, 97}}),
                    size_of_bytes(1'000'000, {{kSmall, 1, 96}, {kMiddle, 1, 98}})},
                   0.01);
  CHECK(choices == Choices{{0, kSmall}, {100'000, kMiddle}});
}

TEST_CASE("the first variant serves every call: it is staged in registers, others may be faster",
          "[tune]") {
  const Choices choices =
      choices_from({size_of_bytes(100, {{kBulk, 1, 99}, {kSmall, 1, 60}, {kMiddle, 1, 70}}),
                    size_of_bytes(400, {{kBulk, 1, 99}, {kMiddle, 1, 70}})},
                   0.01);
  CHECK(choices == Choices{{0, kMiddle}, {1, kBulk}});
  CHECK(check_choices(kSpec, choices, "sm_90").has_value());
}

TEST_CASE("every candidate can be made, and they cover the knobs", "[tune]") {
  const auto scope = GENERATE(NormScope::head, NormScope::token);
  for (const char* target : {"sm_80", "sm_90"}) {
    for (const int head_dim : {8, 40, 64, 72, 80, 96, 128, 160, 192, 256, 512}) {
      for (const Layout layout : {Layout::interleaved, Layout::neox}) {
        Spec spec{head_dim, head_dim, layout};
        spec.norm_scope = scope;
        const auto candidates = broad_candidates(spec, target);
        INFO(head_dim << " for " << target);
        REQUIRE(!candidates.empty());
        CHECK(candidates.front().staging == Staging::registers);
        for (const Variant& variant : candidates) {
          CHECK(check_variant(spec, variant, target).has_value());
          for (const Variant& other : neighbours(spec, variant, target)) {
            CHECK(check_variant(spec, other, target).has_value());
            CHECK(other != variant);
          }
        }
      }
    }
  }
  const auto turns = [](const Spec& spec, const Variant& best, auto member) {
    return std::ranges::any_of(neighbours(spec, best, "sm_90"), [&](const Variant& variant) {
      return variant.*member != best.*member;
    });
  };
  constexpr Spec kInterleaved = {.head_dim = 128, .rope_dim = 128};
  CHECK(turns(kSpec, kMiddle, &Variant::load));
  CHECK(turns(kSpec, {.lanes = 8, .rows = 2, .threads = 128}, &Variant::blocks));
  CHECK_FALSE(turns(kInterleaved, kMiddle, &Variant::pairing));
  CHECK_FALSE(turns(kSpec, kBulk, &Variant::load));
  CHECK_FALSE(turns(kSpec, kBulk, &Variant::store));
  const auto has = [](const Spec& spec, auto test) {
    return std::ranges::any_of(broad_candidates(spec, "sm_90"), test);
  };
  CHECK(has(kSpec, [](const Variant& v) { return v.staging == Staging::bulk; }));
  CHECK(has({80, 80, Layout::neox}, [](const Variant& v) { return v.lanes == 5; }));
  CHECK(has({72, 72}, [](const Variant& v) { return v.lanes == 9; }));
}
