// Variants as text, and what a spec and a target allow.
#include "spec/variant.hpp"

#include <set>

#include "tests/unit/mentions.hpp"
#include "tuning/builtin.hpp"

using namespace qkjit;

namespace {

const Spec kSpec = {128, 96, Layout::neox};
const Variant kPlain = {.lanes = 8, .rows = 2, .threads = 64};

bool refuses(const Variant& variant, const std::string& target,
             std::initializer_list<std::string_view> words) {
  return fails(check_variant(kSpec, variant, target), Code::invalid_argument, words);
}

/// kPlain and variants that differ from it in one field each.
std::vector<Variant> neighbours() {
  std::vector<Variant> variants(12, kPlain);
  variants[1].lanes = 16;
  variants[2].rows = 3;
  variants[3].threads = 128;
  variants[4].blocks = 8;
  variants[5].span = Span::token;
  variants[6].pairing = Pairing::exchange;
  variants[7].staging = Staging::bulk;
  variants[8].load = Hint::streaming;
  variants[9].store = Hint::normal;
  variants[10].pdl = true;
  variants[11].pairing = Pairing::shuffle;
  return variants;
}

}  // namespace

TEST_CASE("a variant's text reads back as the variant", "[variant]") {
  std::set<std::string> texts;
  for (const Variant& variant : neighbours()) {
    const auto parsed = parse_variant(to_text(variant));
    INFO(to_text(variant));
    REQUIRE(parsed.has_value());
    CHECK(*parsed == variant);
    texts.insert(to_text(variant));
  }
  CHECK(texts.size() == neighbours().size());
  CHECK(to_text(kPlain) == "lanes=8,rows=2,threads=64");
}

TEST_CASE("a variant's text is read strictly", "[variant]") {
  const auto refuses_text = [](std::string_view text,
                               std::initializer_list<std::string_view> words) {
    return fails(parse_variant(text), Code::invalid_argument, words);
  };
  CHECK(refuses_text("lanes=8,rows=2", {"variant", "no threads"}));
  CHECK(refuses_text("lanes=8,rows=2,threads=64,pdl=1", {"pdl=1", "yes or no"}));
  CHECK(refuses_text("lanes=8,rows=2,threads=64,lane=8", {"'lane'", "unknown", "lanes"}));
  CHECK(refuses_text("lanes=8,rows=2,threads=64,rows=2", {"rows", "twice"}));
  CHECK(refuses_text("lanes=8,rows=2,threads=64,staging=tma", {"registers", "bulk_load"}));
}

TEST_CASE("variants that cannot be made are refused with what would do", "[variant]") {
  for (const Variant& variant : neighbours()) {
    CHECK(check_variant(kSpec, variant, "sm_90").has_value());
  }
  Variant variant = kPlain;
  variant.lanes = 12;
  CHECK(refuses(variant, "sm_90", {"power of two up to 16"}));
  variant.lanes = 10;
  CHECK(check_variant({80, 80, Layout::neox}, variant, "sm_90").has_value());
  CHECK(fails(check_variant({72, 72, Layout::neox}, variant, "sm_90"), Code::invalid_argument,
              {"power of two up to 16", ", or 9"}));
  CHECK(fails(check_variant({96, 96, Layout::neox}, variant, "sm_90"), Code::invalid_argument,
              {"power of two up to 16, or 12, or 6"}));
  CHECK_FALSE(mentions(check_variant({512, 512}, variant, "sm_90").error().message, {", or"}));
  const Spec across{.head_dim = 128, .norm_scope = NormScope::token};
  variant = {.lanes = 16, .rows = 2, .threads = 512, .span = Span::token};
  CHECK(check_variant(across, variant, "sm_90").has_value());
  CHECK(check_variant(across, builtin_choices(across, "sm_90").front().variant, "sm_90"));
  CHECK(check_variant(across, builtin_choices(across, "sm_80").front().variant, "sm_80"));
  variant.span = Span::slice;
  CHECK(fails(check_variant(across, variant, "sm_90"), Code::invalid_argument,
              {"norm_scope=token", "span=token"}));
  variant = kPlain;
  variant.lanes = 0;
  CHECK(fails(check_variant({4, 4}, variant, "sm_90"), Code::invalid_argument, {"lanes"}));
  variant.lanes = 32;
  CHECK(refuses(variant, "sm_90", {"power of two up to 16"}));
  variant = kPlain, variant.threads = 100;
  CHECK(refuses(variant, "sm_90", {"multiple of 32"}));
  variant = kPlain, variant.rows = 0;
  CHECK(refuses(variant, "sm_90", {"rows must be"}));
  variant = kPlain, variant.pdl = true;
  CHECK(refuses(variant, "sm_89", {"sm_90 or newer"}));
  variant = kPlain, variant.staging = Staging::bulk;
  CHECK(refuses(variant, "sm_80", {"sm_90 or newer"}));
  variant.span = Span::token;
  CHECK(refuses(variant, "sm_90a", {"span=slice"}));
  variant = kPlain, variant.staging = Staging::bulk_load, variant.threads = 1024;
  CHECK(refuses(variant, "sm_90", {"bytes of shared memory", "fewer"}));
}

TEST_CASE("targets have a compute capability", "[variant]") {
  CHECK(compute_capability("sm_75") == 75);
  CHECK(compute_capability("sm_90a") == 90);
  CHECK(compute_capability("sm_100") == 100);
  CHECK(compute_capability("compute_90") == 0);
  CHECK(compute_capability("sm_") == 0);
}

TEST_CASE("the built-in choices fit every spec and target", "[variant]") {
  for (const char* target : {"sm_75", "sm_80", "sm_90", "sm_90a", "sm_100", "sm_120"}) {
    for (int head_dim = 8; head_dim <= 512; head_dim += 8) {
      for (const int rope_dim : {0, 2, head_dim / 4 * 2, head_dim}) {
        for (const Layout layout : {Layout::interleaved, Layout::neox}) {
          for (const DType dtype : {DType::bf16, DType::fp32}) {
            const Spec spec{head_dim, rope_dim, layout, dtype};
            const auto checked = check_choices(spec, builtin_choices(spec, target), target);
            INFO((checked ? "" : checked.error().message));
            if (!checked) FAIL();
          }
        }
      }
    }
  }
}
