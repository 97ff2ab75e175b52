// What the list of norm specs must contain, so that nobody can shorten it unseen.
#include "tests/support/norm_specs.hpp"

#include <algorithm>
#include <array>
#include <set>
#include <tuple>
#include <utility>

#include "spec/support.hpp"
#include "spec/text.hpp"
#include "tests/catch.hpp"

using namespace qkjit;
using test::kNormSpecs;
using test::SpecRow;

namespace {

constexpr std::array<std::pair<int, int>, 5> kShapes = {
    {{64, 64}, {72, 72}, {80, 40}, {128, 0}, {128, 96}}};

/// A spec as the number of its shape and its enumerators, with how many values each has.
using FieldValues = std::array<int, 13>;
constexpr FieldValues kCounts = {
    static_cast<int>(kShapes.size()), 2, 3, 5, 3, 3, 3, 3, 2, 4, 2, 2, 2};

FieldValues values_of(const SpecRow& r) {
  const auto shape = std::ranges::find(kShapes, std::pair(r.head_dim, r.rope_dim));
  return {static_cast<int>(shape - kShapes.begin()),
          r.layout,
          r.dtype,
          r.rounding,
          r.positions,
          r.q_norm,
          r.k_norm,
          r.weight,
          r.bias,
          r.weight_dtype,
          r.norm_order,
          r.norm_scope,
          r.weights};
}

SpecRow row_of(const FieldValues& v) {
  const auto [head_dim, rope_dim] = kShapes[static_cast<std::size_t>(v[0])];
  return {head_dim, rope_dim, v[1], v[2], v[3],  v[4],  v[5],
          v[6],     v[7],     v[8], v[9], v[10], v[11], v[12]};
}

/// (field, value, other field, other value)
using Pairs = std::set<std::tuple<std::size_t, int, std::size_t, int>>;

void add_pairs(const FieldValues& v, Pairs& pairs) {
  for (std::size_t i = 0; i < v.size(); ++i) {
    for (std::size_t j = i + 1; j < v.size(); ++j) pairs.insert({i, v[i], j, v[j]});
  }
}

/// The next in lexical order; false after the last.
bool advance(FieldValues& v) {
  for (std::size_t i = v.size(); i-- > 0;) {
    if (++v[i] < kCounts[i]) return true;
    v[i] = 0;
  }
  return false;
}

}  // namespace

TEST_CASE("norm specs: each is one that is served, and none is written twice", "[norm_specs]") {
  std::set<std::string> texts;
  for (const SpecRow& row : kNormSpecs) {
    const Spec spec = row.spec();
    INFO(to_text(spec));
    CHECK(supports(spec).has_value());
    CHECK(normalized(spec) == spec);
    texts.insert(to_text(spec));
  }
  CHECK(texts.size() == kNormSpecs.size());
}

TEST_CASE("norm specs: every pair of values that a spec can have occurs", "[norm_specs]") {
  Pairs possible, present;
  FieldValues v = {};
  do {
    const Spec spec = row_of(v).spec();
    if (normalized(spec) == spec && supports(spec)) add_pairs(v, possible);
  } while (advance(v));
  for (const SpecRow& row : kNormSpecs) add_pairs(values_of(row), present);
  CHECK(possible.size() > 500);
  for (const auto& [i, a, j, b] : possible) {
    if (present.contains({i, a, j, b})) continue;
    FAIL_CHECK("field " << i << " is never " << a << " where field " << j << " is " << b);
  }
}
