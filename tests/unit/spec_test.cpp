// The text of a spec, and which path serves it.
#include "spec/names.hpp"
#include "spec/support.hpp"
#include "spec/text.hpp"
#include "tests/unit/mentions.hpp"

using namespace qkjit;

namespace {

const std::string kText = "head_dim=128,rope_dim=64,layout=neox,dtype=fp16";

bool refuses(const std::string& text, std::initializer_list<std::string_view> words) {
  INFO("spec " << text);
  return fails(parse_spec(text), Code::invalid_argument, words);
}

/// Every spec of the given shapes.
std::vector<Spec> all_specs(std::initializer_list<int> head_dims) {
  std::vector<Spec> specs;
  for (const int head_dim : head_dims)
    for (const int rope_dim : {2, head_dim / 2 * 2})
      for (const Layout layout : {Layout::interleaved, Layout::neox})
        for (const DType dtype : {DType::bf16, DType::fp16, DType::fp32})
          for (int rounding = 0; rounding < 7; ++rounding)
            for (int positions = 0; positions < 3; ++positions)
              specs.push_back({head_dim, rope_dim, layout, dtype, static_cast<Rounding>(rounding),
                               static_cast<Positions>(positions)});
  return specs;
}

}  // namespace

TEST_CASE("a spec's text reads back as the spec", "[spec]") {
  for (const Spec& spec : all_specs({8, 80, 1024})) {
    const auto parsed = parse_spec(to_text(spec));
    INFO(to_text(spec));
    REQUIRE(parsed.has_value());
    CHECK(*parsed == spec);
    CHECK(to_text(*parsed) == to_text(spec));
  }
}

TEST_CASE("defaults are left out of the text, the four required fields are not", "[spec]") {
  CHECK(to_text(Spec{.head_dim = 128, .rope_dim = 128}) ==
        "head_dim=128,rope_dim=128,layout=interleaved,dtype=bf16");
  const Spec spec = {96, 64, Layout::neox, DType::fp32, Rounding::late_weight, Positions::implicit};
  CHECK(to_text(spec) ==
        "head_dim=96,rope_dim=64,layout=neox,dtype=fp32,rounding=late_weight,positions=implicit");
}

TEST_CASE("fields may come in any order, defaults may be spelled out", "[spec]") {
  const auto parsed =
      parse_spec("positions=int64,dtype=fp16,layout=neox,rope_dim=64,rounding=fused,head_dim=128");
  REQUIRE(parsed.has_value());
  CHECK(to_text(*parsed) == kText);
}

TEST_CASE("without rotation, layout and positions mean nothing", "[spec]") {
  const auto neox = parse_spec("head_dim=64,rope_dim=0,layout=neox,dtype=bf16,positions=int32");
  const auto interleaved =
      parse_spec("head_dim=64,rope_dim=0,layout=interleaved,dtype=bf16,positions=implicit");
  REQUIRE(neox.has_value());
  REQUIRE(interleaved.has_value());
  CHECK(*neox == *interleaved);
  CHECK(*parse_spec(to_text(*neox)) == *neox);
  CHECK(normalized({64, 2, Layout::neox}) == Spec{64, 2, Layout::neox});
}

TEST_CASE("without a norm, roundings before the rotation mean nothing", "[spec]") {
  const std::string text = "head_dim=64,rope_dim=64,layout=neox,dtype=bf16";
  const auto none = parse_spec(text + ",norm=none");
  REQUIRE(none.has_value());
  CHECK((none->q_norm == Norm::none && none->k_norm == Norm::none));
  CHECK(to_text(*none) == text + ",norm=none");
  CHECK(*parse_spec(text + ",rounding=hf,norm=none") == *none);
  CHECK(to_text(*parse_spec(text + ",norm=none,rounding=eager")) ==
        text + ",rounding=eager,norm=none");
  CHECK(*parse_spec(text + ",norm=rms") == *parse_spec(text));
}

TEST_CASE("q and k may have different norms", "[spec]") {
  const auto both = parse_spec(kText + ",norm=layer");
  REQUIRE(both.has_value());
  CHECK((both->q_norm == Norm::layer && both->k_norm == Norm::layer));
  CHECK(to_text(*both) == kText + ",norm=layer");
  CHECK(*parse_spec(kText + ",k_norm=layer,q_norm=layer") == *both);
  const auto differ = parse_spec(kText + ",k_norm=none");
  REQUIRE(differ.has_value());
  CHECK((differ->q_norm == Norm::rms && differ->k_norm == Norm::none));
  CHECK(to_text(*differ) == kText + ",q_norm=rms,k_norm=none");
  CHECK(*parse_spec(to_text(*differ)) == *differ);
  CHECK(refuses(kText + ",norm=rms,k_norm=none", {"both norm and k_norm", "one of them"}));
  CHECK(refuses(kText + ",q_norm=none,norm=rms", {"both q_norm and norm"}));
  CHECK(refuses(kText + ",norm=layr", {"norm=layr", "nearest is layer"}));
}

TEST_CASE("what a norm multiplies by and adds, and where it stands", "[spec]") {
  const auto spec =
      parse_spec(kText + ",norm_order=after,weight=one_plus,bias=yes,weight_dtype=fp32,norm=layer");
  REQUIRE(spec.has_value());
  CHECK((spec->weight == Weight::one_plus && spec->bias == Bias::yes &&
         spec->weight_dtype == WeightDType::fp32 && spec->norm_order == NormOrder::after));
  CHECK(to_text(*spec) ==
        kText + ",norm=layer,weight=one_plus,bias=yes,weight_dtype=fp32,norm_order=after");
  CHECK(*parse_spec(to_text(*spec)) == *spec);
  CHECK(to_text(*parse_spec(kText + ",weight=plain,bias=no,weight_dtype=same,norm_order=before")) ==
        kText);
  CHECK(refuses(kText + ",bias=true", {"bias=true", "no, yes"}));
  CHECK(refuses(kText + ",weight=oneplus", {"nearest is one_plus"}));
  CHECK(refuses(kText + ",weight_dtype=int8", {"same, bf16, fp16, fp32"}));
  CHECK(refuses(kText + ",norm_order=last", {"before, after"}));
}

TEST_CASE("parts of a norm that mean nothing are left out of a spec", "[spec]") {
  const auto same = [](const std::string& a, const std::string& b) {
    return to_text(*parse_spec(kText + a)) == kText + b;
  };
  CHECK(same(",weight_dtype=fp16", ""));  // the dtype
  CHECK(same(",weight=none,weight_dtype=fp32", ",weight=none"));
  CHECK(same(",norm=layer,weight=none,bias=yes,weight_dtype=fp32",
             ",norm=layer,weight=none,bias=yes,weight_dtype=fp32"));
  CHECK(same(",norm=none,weight=one_plus,weight_dtype=fp32,norm_order=after", ",norm=none"));
  CHECK(same(",q_norm=none,norm_order=after", ",q_norm=none,k_norm=rms,norm_order=after"));
  CHECK(to_text(*parse_spec("head_dim=64,rope_dim=0,layout=neox,dtype=bf16,norm_order=after")) ==
        "head_dim=64,rope_dim=0,layout=interleaved,dtype=bf16,positions=implicit");
}

TEST_CASE("table, placement and sections have canonical texts", "[spec]") {
  const Spec spec{.head_dim = 128,
                  .rope_dim = 64,
                  .table = DType::bf16,
                  .table_width = TableWidth::full,
                  .placement = RopePlacement::tail,
                  .sections = {12, 10, 10},
                  .section_order = SectionOrder::interleaved};
  const std::string text =
      "head_dim=128,rope_dim=64,layout=interleaved,dtype=bf16,table=bf16,table_width=full,"
      "placement=tail,sections=12+10+10,section_order=interleaved";
  CHECK(to_text(spec) == text);
  CHECK(parse_spec(text) == spec);
  CHECK(to_text(*parse_spec(kText + ",table=fp32,table_width=half,placement=head,sections=0+0+0,"
                                    "section_order=contiguous")) == kText);
  for (const char* value : {"", "1", "1+2", "1+2+3+4", "1+2+", "+1+2+3", "1++2", "1+2+x", "1-2-3",
                            "1+2+3 ", " 1+2+3", "1+2+99999999999"}) {
    CHECK(refuses(kText + ",sections=" + value, {"sections=", "3 integers joined by +"}));
  }
  CHECK(refuses(kText + ",table=int32", {"table=int32", "bf16, fp16, fp32"}));
  CHECK(refuses(kText + ",table_width=double", {"half, full, elements"}));
  CHECK(refuses(kText + ",placement=middle", {"head, tail"}));
  CHECK(refuses(kText + ",section_order=mixed", {"contiguous, interleaved"}));
  CHECK(to_text(*parse_spec(kText + ",batch=strided")) == kText + ",batch=strided");
  CHECK(to_text(*parse_spec(kText + ",batch=folded")) == kText);
  CHECK(refuses(kText + ",batch=some", {"folded, strided"}));
  CHECK(to_text(*parse_spec(kText + ",v=copy")) == kText + ",v=copy");
  CHECK(refuses(kText + ",v=yes", {"none, copy"}));
  for (const std::string field : {"norm_scope=token", "weights=per_head", "angles=computed"}) {
    const auto in_all = parse_spec(kText + "," + field + ",batch=strided,v=copy");
    CHECK(supports(*in_all)->dispatch.path == Path::fused);
  }
}

TEST_CASE("forms of a rotation that mean nothing are left out of a spec", "[spec]") {
  const std::string forms = ",table=fp16,table_width=full,placement=tail";
  CHECK(*parse_spec("head_dim=64,rope_dim=0,layout=neox,dtype=bf16" + forms) ==
        *parse_spec("head_dim=64,rope_dim=0,layout=neox,dtype=bf16"));
  const std::string whole = "head_dim=64,rope_dim=64,layout=neox,dtype=bf16";
  CHECK(*parse_spec(whole + ",placement=tail") == *parse_spec(whole));
  CHECK(*parse_spec(whole + ",section_order=interleaved") == *parse_spec(whole));
}

TEST_CASE("a tail is fused where it begins at a multiple of 8", "[spec]") {
  const auto tail = [](int head_dim, int rope_dim) {
    return supports({.head_dim = head_dim, .rope_dim = rope_dim, .placement = RopePlacement::tail});
  };
  CHECK(tail(512, 64)->dispatch == Dispatch{Path::fused, Reason::none});
  CHECK(tail(72, 40)->dispatch == Dispatch{Path::fused, Reason::none});
  CHECK(tail(512, 60)->dispatch == Dispatch{Path::generic, Reason::shape});
  CHECK(mentions(tail(512, 60)->text, {"placement=tail", "rope_dim=60", "nearest is rope_dim=64"}));
  CHECK(mentions(tail(100, 64)->text, {"head_dim=100", "nearest is 104"}));
}

TEST_CASE("sections must have all angles, on positions with three axes", "[spec]") {
  const auto with = [](int first, int second, int third, SectionOrder order = {},
                       Positions positions = Positions::int64) {
    return supports({.head_dim = 128,
                     .rope_dim = 128,
                     .positions = positions,
                     .sections = {first, second, third},
                     .section_order = order});
  };
  const auto interleaved = SectionOrder::interleaved;
  CHECK(with(24, 20, 20)->dispatch.path == Path::fused);
  CHECK(with(24, 20, 20, interleaved).has_value());
  CHECK(with(22, 21, 21, interleaved).has_value());
  CHECK(with(1, 62, 1).has_value());
  const Code invalid = Code::invalid_argument;
  CHECK(fails(with(24, 20, 19), invalid, {"sections=24+20+19", "rope_dim/2=64"}));
  CHECK(fails(with(44, 20, 0), invalid, {"sections=44+20+0", "positive"}));
  CHECK(fails(with(0, 44, 20), invalid, {"positive"}));
  CHECK(fails(with(66, -1, -1), invalid, {"positive"}));
  CHECK(fails(with(2147483647, 2147483647, 66), invalid, {"rope_dim/2=64"}));
  CHECK(fails(with(24, 20, 20, {}, Positions::implicit), invalid,
              {"sections=24+20+20", "positions=implicit", "int64, int32 or grid"}));
  CHECK(fails(with(20, 22, 22, interleaved), invalid, {"section_order=interleaved", "at most 21"}));
}

TEST_CASE("computed angles have a canonical text and no table", "[spec]") {
  const std::string text = "head_dim=64,rope_dim=64,layout=neox,dtype=bf16,angles=computed";
  const Spec spec = *parse_spec(text);
  CHECK(spec.angles == Angles::computed);
  CHECK(to_text(spec) == text);
  CHECK(supports(spec)->dispatch.path == Path::fused);
  CHECK(to_text(*parse_spec("head_dim=64,rope_dim=0,layout=neox,dtype=bf16,angles=computed")) ==
        "head_dim=64,rope_dim=0,layout=interleaved,dtype=bf16,positions=implicit");
  CHECK(refuses(text + "d", {"angles=computedd", "table, computed"}));
  for (const char* table : {"table=bf16", "table_width=full", "table_width=elements"}) {
    CHECK(fails(supports(*parse_spec(text + "," + table)), Code::invalid_argument,
                {"angles=computed", table, "have no table"}));
  }
}

TEST_CASE("a table by elements is for neox pairs of one axis", "[spec]") {
  Spec spec{.head_dim = 128,
            .rope_dim = 128,
            .layout = Layout::neox,
            .table_width = TableWidth::elements};
  CHECK(supports(spec)->dispatch.path == Path::fused);
  spec.sections[0] = 24, spec.sections[1] = spec.sections[2] = 20;
  CHECK(fails(supports(spec), Code::unsupported, {"table_width=elements", "sections"}));
  spec = {.head_dim = 64, .rope_dim = 64, .table_width = TableWidth::elements};
  CHECK(fails(supports(spec), Code::unsupported, {"layout=interleaved", "table_width=full"}));
}

TEST_CASE("a norm across heads has a text, and is an RMSNorm", "[spec]") {
  const auto across = parse_spec(kText + ",norm_scope=token");
  REQUIRE(across.has_value());
  CHECK(across->norm_scope == NormScope::token);
  CHECK(to_text(*across) == kText + ",norm_scope=token");
  CHECK(*parse_spec(kText + ",norm_scope=head") == *parse_spec(kText));
  CHECK(to_text(*parse_spec(kText + ",norm=none,norm_scope=token")) == kText + ",norm=none");
  CHECK(refuses(kText + ",norm_scope=heads", {"head, token", "nearest is head"}));
  CHECK(supports(*across)->dispatch == Dispatch{Path::fused, Reason::none});
  CHECK(supports(*parse_spec(kText + ",norm_scope=token,k_norm=none")).has_value());
  CHECK(supports(*parse_spec("head_dim=100,rope_dim=64,layout=neox,dtype=fp16,norm_scope=token"))
            ->dispatch == Dispatch{Path::generic, Reason::shape});
  for (const char* norms : {",norm=layer", ",q_norm=layer", ",k_norm=layer"}) {
    CHECK(fails(supports(*parse_spec(kText + ",norm_scope=token" + norms)), Code::unsupported,
                {"norm_scope=token", "norm=layer", "norm=rms", "norm_scope=head"}));
  }
}

TEST_CASE("heads may have weights of their own", "[spec]") {
  const auto own = parse_spec(kText + ",norm=layer,bias=yes,weights=per_head");
  REQUIRE(own.has_value());
  CHECK(own->weights == Weights::per_head);
  CHECK(to_text(*own) == kText + ",norm=layer,bias=yes,weights=per_head");
  CHECK(supports(*own)->dispatch == Dispatch{Path::fused, Reason::none});
  CHECK(*parse_spec(kText + ",weights=shared") == *parse_spec(kText));
  // Across heads there are no others, and without a vector there is nothing to have.
  CHECK(to_text(*parse_spec(kText + ",norm_scope=token,weights=per_head")) ==
        kText + ",norm_scope=token");
  CHECK(to_text(*parse_spec(kText + ",weight=none,weights=per_head")) == kText + ",weight=none");
  CHECK(to_text(*parse_spec(kText + ",norm=none,weights=per_head")) == kText + ",norm=none");
  CHECK(refuses(kText + ",weights=own", {"shared, per_head"}));
}

TEST_CASE("unknown names and values are refused with the nearest one", "[spec]") {
  CHECK(refuses(kText + ",roundign=hf", {"'roundign' is unknown", "nearest is rounding"}));
  CHECK(refuses("headdim=128", {"'headdim'", "nearest is head_dim"}));
  CHECK(refuses(kText + ",rounding=egaer", {"rounding=egaer", "nearest is eager", "late_weight"}));
  CHECK(
      refuses("head_dim=1,rope_dim=0,layout=Neox,dtype=bf16", {"layout=Neox", "nearest is neox"}));
  CHECK(refuses("head_dim=1,rope_dim=0,layout=neox,dtype=bf17", {"dtype=bf17", "nearest is bf16"}));
  CHECK(refuses("head_dim=1,rope_dim=0,layout=neox,dtype=int32", {"bf16, fp16, fp32"}));
  CHECK(refuses(kText + ",positions=", {"positions=", "int64, int32, implicit"}));
}

TEST_CASE("integers are whole, in range and nothing else", "[spec]") {
  for (const char* value : {"", "x", "12x", "1.5", "1e2", "+8", " 8", "8 ", "0x10", "2147483648",
                            "99999999999999999999", "-2147483649"}) {
    CHECK(refuses(std::string("head_dim=") + value + ",rope_dim=0,layout=neox,dtype=bf16",
                  {std::string("head_dim=") + value, "integer"}));
  }
  // Shapes are supports()'s matter.
  CHECK(parse_spec("head_dim=-1,rope_dim=7,layout=neox,dtype=bf16").has_value());
}

TEST_CASE("repeated and missing fields, and stray punctuation, are refused", "[spec]") {
  CHECK(refuses(kText + ",layout=neox", {"layout", "twice"}));
  CHECK(refuses("rope_dim=64,layout=neox,dtype=fp16", {"no head_dim", "add head_dim="}));
  CHECK(refuses("head_dim=128,layout=neox,dtype=fp16", {"no rope_dim"}));
  CHECK(refuses("head_dim=128,rope_dim=64,dtype=fp16", {"no layout"}));
  CHECK(refuses("head_dim=128,rope_dim=64,layout=neox", {"no dtype"}));
  CHECK(refuses("", {"name=value"}));
  CHECK(refuses(kText + ",", {"name=value"}));
  CHECK(refuses("," + kText, {"name=value"}));
  CHECK(refuses(kText + ",rounding", {"'rounding'", "name=value"}));
  CHECK(refuses(kText + ", rounding=hf", {"' rounding' is unknown"}));
  CHECK(refuses(kText + ",=hf", {"'' is unknown"}));
  CHECK(refuses(kText + std::string(",rounding=hf\0", 13), {"nearest is hf"}));
}

TEST_CASE("every multiple of 8 up to 512 is fused", "[spec]") {
  for (int head_dim = 1; head_dim <= 1024; ++head_dim) {
    const bool fused = head_dim % 8 == 0 && head_dim <= 512;
    for (int rope_dim = 0; rope_dim <= head_dim; rope_dim += 2) {
      const auto support = supports({head_dim, rope_dim, Layout::neox});
      if (!support) FAIL("head_dim " << head_dim << ": " << support.error().message);
      const Dispatch expected =
          fused ? Dispatch{Path::fused, Reason::none} : Dispatch{Path::generic, Reason::shape};
      if (support->dispatch != expected || support->text.empty() != fused) FAIL(head_dim);
    }
  }
  CHECK(mentions(supports({.head_dim = 100})->text, {"head_dim=100", "nearest is 104"}));
  CHECK(mentions(supports({.head_dim = 1})->text, {"nearest is 8"}));
  CHECK(mentions(supports({.head_dim = 1000})->text, {"head_dim=1000", "nearest is 512"}));
}

TEST_CASE("impossible specs are refused with the nearest possible one", "[spec]") {
  const Code invalid = Code::invalid_argument;
  CHECK(fails(supports({.head_dim = 1025}), Code::unsupported, {"head_dim=1025", "up to 1024"}));
  CHECK(fails(supports({.head_dim = 0}), invalid, {"head_dim=0", "1 to 1024"}));
  CHECK(fails(supports({.head_dim = -8}), invalid, {"head_dim=-8"}));
  CHECK(fails(supports({64, 33}), invalid, {"rope_dim=33", "odd", "use 32"}));
  CHECK(fails(supports({64, 66}), invalid, {"rope_dim=66", "use at most 64"}));
  CHECK(fails(supports({7, 8}), invalid, {"rope_dim=8", "use at most 6"}));
  CHECK(fails(supports({64, -2}), invalid, {"rope_dim=-2"}));
  CHECK(fails(supports({64, 64, static_cast<Layout>(2)}), invalid, {"layout 2", "out of range"}));
  CHECK(fails(supports({.head_dim = 64, .dtype = static_cast<DType>(3)}), invalid, {"dtype 3"}));
  CHECK(fails(supports({.head_dim = 64, .rounding = static_cast<Rounding>(-1)}), invalid,
              {"rounding -1"}));
  CHECK(fails(supports({.head_dim = 64, .positions = static_cast<Positions>(9)}), invalid,
              {"positions 9"}));
  CHECK(fails(supports({.head_dim = 64, .q_norm = static_cast<Norm>(3)}), invalid, {"q_norm 3"}));
  CHECK(fails(supports({.head_dim = 64, .k_norm = static_cast<Norm>(-1)}), invalid, {"k_norm -1"}));
  CHECK(fails(supports({.head_dim = 64, .weight = static_cast<Weight>(3)}), invalid, {"weight 3"}));
  CHECK(fails(supports({.head_dim = 64, .bias = static_cast<Bias>(2)}), invalid, {"bias 2"}));
  CHECK(fails(supports({.head_dim = 64, .weight_dtype = static_cast<WeightDType>(4)}), invalid,
              {"weight_dtype 4"}));
  CHECK(fails(supports({.head_dim = 64, .norm_order = static_cast<NormOrder>(2)}), invalid,
              {"norm_order 2"}));
  CHECK(fails(supports({.head_dim = 64, .table = static_cast<DType>(3)}), invalid, {"table 3"}));
  CHECK(fails(supports({.head_dim = 64, .table_width = static_cast<TableWidth>(3)}), invalid,
              {"table_width 3"}));
  CHECK(fails(supports({.head_dim = 64, .placement = static_cast<RopePlacement>(2)}), invalid,
              {"placement 2"}));
  CHECK(fails(supports({.head_dim = 64, .section_order = static_cast<SectionOrder>(-1)}), invalid,
              {"section_order -1"}));
  CHECK(fails(supports({.head_dim = 64, .norm_scope = static_cast<NormScope>(2)}), invalid,
              {"norm_scope 2"}));
  CHECK(fails(supports({.head_dim = 64, .angles = static_cast<Angles>(2)}), invalid, {"angles 2"}));
  CHECK(fails(supports({.head_dim = 64, .weights = static_cast<Weights>(2)}), invalid,
              {"weights 2"}));
  CHECK(fails(supports({.head_dim = 64, .bias = Bias::yes}), invalid,
              {"bias=yes", "LayerNorm", "norm=layer"}));
  CHECK(fails(supports({.head_dim = 64, .q_norm = Norm::none, .k_norm = Norm::none}), invalid,
              {"norm=none", "rope_dim=0", "rotate"}));
}
