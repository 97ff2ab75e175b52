// The model files: what the parser refuses, what the library can do with each, and rescaling.
#include "tools/qkjit/model.hpp"

#include <nlohmann/json.hpp>

#include "spec/support.hpp"
#include "spec/text.hpp"
#include "tests/catch.hpp"
#include "tests/unit/model_files.hpp"

using namespace qkjit;
using Json = nlohmann::ordered_json;

namespace {

/// A small valid file; each test spoils one thing.
Json valid() {
  return Json::parse(R"({
    "name": "m", "title": "M",
    "attentions": [{"name": "a", "head_dim": 8, "heads_q": 2, "heads_k": 1, "dtype": "bf16",
      "rounding": "fused", "norm": "rms_per_head", "eps": 1e-6, "weight_form": "plain",
      "layout": "neox", "rope_dim": 4}],
    "segments": [{"name": "s", "run": 3, "start": [0]}, {"name": "g", "grid": [5], "start": ["s"]}],
    "tables": [{"name": "t", "theta": 100, "axes": [4], "axis_order": "concatenated",
      "segments": ["s", "g"]}],
    "calls": [{"name": "c", "repeat": 2, "attention": "a", "weights": "norm", "table": "t",
      "segments": ["g"]}],
    "sources": {"all": "made up"}
  })");
}

/// The message with which a spoilt file is refused.
std::string refusal(const Json& json) {
  auto model = parse_model(json.dump());
  REQUIRE_FALSE(model.has_value());
  CHECK(model.error().code == Code::invalid_argument);
  return model.error().message;
}

bool mentions(const std::string& message, std::initializer_list<const char*> words) {
  INFO(message);
  for (const char* word : words) {
    if (message.find(word) == std::string::npos) return false;
  }
  return true;
}

}  // namespace

TEST_CASE("a valid file keeps its facts and places its calls", "[model]") {
  auto model = parse_model(valid().dump());
  REQUIRE(model.has_value());
  const Call& call = model->calls.at(0);
  CHECK(call.tokens == 5);
  CHECK(call.position_offset == 3);
  CHECK(call.repeat == 2);
  CHECK(spec_of(*model, call) == Spec{.head_dim = 8,
                                      .rope_dim = 4,
                                      .layout = Layout::neox,
                                      .dtype = DType::bf16,
                                      .rounding = Rounding::fused,
                                      .positions = Positions::implicit});
}

TEST_CASE("unknown fields are named at every level", "[model]") {
  for (const char* list : {"attentions", "segments", "tables", "calls"}) {
    auto json = valid();
    json[list][0]["colour"] = 1;
    CHECK(mentions(refusal(json), {list, "[0]", "unknown field 'colour'"}));
  }
  auto json = valid();
  json["colour"] = 1;
  CHECK(mentions(refusal(json), {"model", "unknown field 'colour'", "title"}));
  json = valid();
  json["calls"][0]["view"] = {{"row_stride", 99}, {"q_offset", 0}, {"k_offset", 0}, {"x", 1}};
  CHECK(mentions(refusal(json), {"call 'c': view", "unknown field 'x'"}));
}

TEST_CASE("missing, mistyped and bad fields are named", "[model]") {
  const auto whole = valid();
  for (const auto& [name, value] : whole.items()) {
    auto json = whole;
    json.erase(name);
    CHECK(mentions(refusal(json), {name.c_str(), "is missing"}));
  }
  auto spoil = [](const char* list, const char* field, Json value) {
    auto json = valid();
    json[list][0][field] = std::move(value);
    return refusal(json);
  };
  CHECK(mentions(spoil("attentions", "head_dim", "8"), {"attentions[0]", "'head_dim'", "integer"}));
  CHECK(mentions(spoil("attentions", "head_dim", 0), {"'head_dim'", "0", "1 .. 1024"}));
  CHECK(mentions(spoil("attentions", "rope_dim", 3), {"'rope_dim'", "even"}));
  CHECK(mentions(spoil("attentions", "eps", -1), {"'eps'", "positive"}));
  CHECK(mentions(spoil("attentions", "layout", "gptj"), {"'gptj'", "interleaved, neox"}));
  CHECK(mentions(spoil("segments", "grid", {2}), {"segments[0]", "'grid'", "not both"}));
  CHECK(mentions(spoil("segments", "step", {1, 2}), {"'step'", "as many"}));
  CHECK(mentions(spoil("segments", "run", 1e9), {"'run'"}));
  CHECK(mentions(spoil("tables", "axes", {3}), {"'axes'", "even"}));
  CHECK(mentions(spoil("tables", "axes", {"4"}), {"'axes'", "even"}));
  CHECK(mentions(spoil("tables", "frequencies", "slow"), {"'frequencies'", "falling, rising"}));
  CHECK(mentions(spoil("tables", "segments", Json::array()), {"'segments'", "at least one"}));
  CHECK(mentions(spoil("calls", "repeat", 1.5), {"calls[0]", "'repeat'", "integer"}));
}

TEST_CASE("references must resolve and fit", "[model]") {
  auto spoil = [](const char* list, const char* field, Json value) {
    auto json = valid();
    json[list][0][field] = std::move(value);
    return refusal(json);
  };
  CHECK(mentions(spoil("calls", "attention", "b"), {"'m'", "'c'", "no attention 'b'"}));
  CHECK(mentions(spoil("calls", "table", "u"), {"no table 'u'"}));
  CHECK(mentions(spoil("calls", "segments", {"x"}), {"no segment 'x'"}));
  CHECK(mentions(spoil("calls", "segments", {"g", "s"}), {"neighbours", "'t'"}));
  CHECK(mentions(spoil("segments", "start", {"g"}), {"'s'", "'g'", "no earlier segment"}));
  CHECK(mentions(spoil("tables", "axes", {2, 2}), {"'t'", "1 start", "2 axes"}));
  CHECK(mentions(spoil("attentions", "rope_dim", 6), {"4 channels", "1 x rope_dim is 6"}));
  CHECK(mentions(spoil("tables", "per_head", true), {"4 channels", "2 x rope_dim is 8"}));
  CHECK(mentions(spoil("tables", "unturned", 1), {"6 channels", "rope_dim is 4"}));
  CHECK(mentions(spoil("calls", "view", {{"row_stride", 20}, {"q_offset", 0}, {"k_offset", 16}}),
                 {"row_stride 20"}));
  auto json = valid();
  json["segments"][1]["name"] = "s";
  CHECK(mentions(refusal(json), {"segments", "'s' is given twice"}));
  json = valid();
  json["calls"][0].erase("weights");
  CHECK(mentions(refusal(json), {"'c'", "weights"}));
}

TEST_CASE("text that is no object with unique keys is refused", "[model]") {
  for (const char* text : {"", "{", "[]", "3", R"({"name": "a", "name": "b"})"}) {
    INFO(text);
    auto model = parse_model(text);
    REQUIRE_FALSE(model.has_value());
    CHECK(model.error().code == Code::invalid_argument);
  }
  CHECK(
      mentions(parse_model(R"({"name": "a", "name": "b"})").error().message, {"'name'", "twice"}));
}

TEST_CASE("every model file parses, is named after its file and cites sources", "[model]") {
  const std::vector<std::string> expected = {
      "command-r-plus",   "cosmos1-7b",         "deepseek-v4",     "ernie-image",
      "flux1-dev",        "flux2-dev",          "gemma-3-4b",      "gemma-4-26b-a4b",
      "glm-4.5",          "glm-image",          "helios",          "hunyuan-7b",
      "hunyuanvideo",     "hunyuanvideo-1.5",   "llama-4-scout",   "ltx-2",
      "minimax-h3",       "minimax-h3-decoder", "minimax-m2",      "mova-720p",
      "olmo-2-7b",        "qwen-image",         "qwen-image-edit", "qwen3-235b-a22b",
      "qwen3-30b-a3b",    "qwen3-8b",           "qwen3-next-80b",  "qwen3-vl-8b",
      "sana-sprint-1.6b", "sana-video-2b",      "sd3.5-large",     "wan2.1-t2v-1.3b",
      "wan2.1-t2v-14b",   "wan2.2-t2v-a14b",    "wan2.2-ti2v-5b",  "z-image"};
  CHECK(model_names() == expected);
  for (const auto& name : model_names()) {
    const auto model = load_model(name);
    CHECK(model.name == name);
    for (const auto& [fact, source] : model.sources) {
      INFO(name << ": " << fact << ": " << source);
      CHECK((source.starts_with("https://") || source.find(":") != std::string::npos));
    }
  }
}

TEST_CASE("every call of every model is one for a fused kernel", "[model]") {
  for (const std::string& name : model_names()) {
    const auto model = load_model(name);
    for (const auto& call : model.calls) {
      INFO(name << " " << call.name);
      const auto support = supports(spec_of(model, call));
      CHECK((support && support->dispatch.path == Path::fused));
    }
  }
}

TEST_CASE("a model's norm becomes the spec's", "[model]") {
  const auto spec_text = [](const char* name, std::size_t call) {
    const Model model = load_model(name);
    return to_text(spec_of(model, model.calls.at(call)));
  };
  CHECK(spec_text("gemma-3-4b", 0) ==
        "head_dim=256,rope_dim=256,layout=neox,dtype=bf16,rounding=late_weight,weight=one_plus");
  CHECK(spec_text("glm-image", 0) ==
        "head_dim=128,rope_dim=0,layout=interleaved,dtype=bf16,rounding=split,positions=implicit,"
        "norm=layer,weight=none");
  CHECK(spec_text("hunyuan-7b", 0) ==
        "head_dim=128,rope_dim=128,layout=neox,dtype=bf16,rounding=hf,norm_order=after");
  CHECK(spec_text("llama-4-scout", 0) ==
        "head_dim=128,rope_dim=128,layout=interleaved,dtype=bf16,rounding=split,weight=none,"
        "norm_order=after");
  CHECK(spec_text("wan2.2-t2v-a14b", 0) ==
        "head_dim=128,rope_dim=128,layout=interleaved,dtype=bf16,rounding=split,"
        "positions=implicit,norm_scope=token");
  CHECK(spec_text("minimax-m2", 0) ==
        "head_dim=128,rope_dim=64,layout=neox,dtype=bf16,rounding=hf,norm_scope=token");
  CHECK(spec_text("command-r-plus", 0) ==
        "head_dim=128,rope_dim=128,layout=interleaved,dtype=bf16,rounding=late_weight,norm=layer,"
        "weights=per_head");

  auto json = valid();
  auto& attention = json["attentions"][0];
  attention["norm"] = "layer_per_head", attention["bias"] = true;
  attention["weight_dtype"] = "fp32", attention["weight_form"] = "none";
  const auto biased = parse_model(json.dump());
  REQUIRE(biased.has_value());
  CHECK(to_text(spec_of(*biased, biased->calls[0])) ==
        "head_dim=8,rope_dim=4,layout=neox,dtype=bf16,positions=implicit,norm=layer,weight=none,"
        "bias=yes,weight_dtype=fp32");
  attention["bias"] = false;  // then there is nothing to name a set of weights for
  CHECK(mentions(refusal(json), {"'c'", "weights"}));
  attention["norm"] = "rms_per_head", attention["bias"] = true;
  CHECK(mentions(refusal(json), {"'bias'", "layer_per_head"}));
}

TEST_CASE("cross attention is a call of q and a call of k", "[model]") {
  auto json = valid();
  auto& call = json["calls"][0];
  call["k_segments"] = {"s"};
  auto model = parse_model(json.dump());
  REQUIRE(model.has_value());
  REQUIRE(model->calls.size() == 2);
  const Call &q = model->calls[0], &k = model->calls[1];
  CHECK((q.name == "c.q" && q.tokens == 5 && q.heads_q == 2 && q.heads_k == 0));
  CHECK((k.name == "c.k" && k.tokens == 3 && k.heads_q == 0 && k.heads_k == 1));
  CHECK((q.position_offset == 3 && k.position_offset == 0 && k.repeat == 2));
  CHECK((spec_of(*model, q).rope_dim == 4 && spec_of(*model, k).rope_dim == 0));

  call["k_table"] = "t";
  model = parse_model(json.dump());
  REQUIRE(model.has_value());
  CHECK(spec_of(*model, model->calls[1]) == spec_of(*model, model->calls[0]));

  call["k_segments"] = {"x"};
  CHECK(mentions(refusal(json), {"'c.k'", "no segment 'x'"}));
  call["k_segments"] = {"s"};
  call["view"] = {{"row_stride", 24}, {"q_offset", 0}, {"k_offset", 16}};
  CHECK(mentions(refusal(json), {"'view'", "k_segments"}));
  call.erase("view"), call.erase("k_segments");
  CHECK(mentions(refusal(json), {"unknown field 'k_table'"}));
}

TEST_CASE("the published call patterns", "[model]") {
  const auto flux1 = load_model("flux1-dev");
  REQUIRE(flux1.calls.size() == 3);
  CHECK(flux1.calls[0].weights == "norm");
  CHECK(flux1.calls[0].tokens == 4096);
  CHECK(flux1.calls[0].position_offset == 512);
  CHECK(flux1.calls[1].weights == "norm_added");
  CHECK(flux1.calls[1].tokens == 512);
  CHECK(flux1.calls[1].position_offset == 0);
  CHECK(flux1.calls[2].tokens == 4608);
  CHECK(flux1.calls[2].repeat == 38);

  const auto flux2 = load_model("flux2-dev");
  REQUIRE(flux2.calls[2].view.has_value());
  CHECK(flux2.calls[2].view->row_stride == 3 * 48 * 128 + 2 * 3 * 48 * 128);
  CHECK(flux2.calls[2].view->k_offset == 48 * 128);

  const auto qwen = load_model("qwen-image");
  for (const auto& call : qwen.calls) CHECK(call.position_offset == 0);
  CHECK(load_model("qwen-image-edit").calls[0].tokens == 8424);

  const auto hunyuan = load_model("hunyuanvideo");
  CHECK(spec_of(hunyuan, hunyuan.calls[0]).rope_dim == 128);
  CHECK(spec_of(hunyuan, hunyuan.calls[1]).rope_dim == 0);

  const auto zimage = load_model("z-image");
  CHECK(zimage.calls[1].position_offset == 4096);
  CHECK(zimage.calls[2].tokens == 4128);

  const auto h3 = load_model("minimax-h3");
  CHECK(h3.calls[1].tokens == 37760);
  CHECK(spec_of(h3, h3.calls[1]) == Spec{.head_dim = 128,
                                         .rope_dim = 96,
                                         .layout = Layout::neox,
                                         .dtype = DType::bf16,
                                         .rounding = Rounding::eager,
                                         .positions = Positions::implicit,
                                         .table = DType::bf16});
  CHECK(load_model("wan2.2-t2v-a14b").calls[0].tokens == 75600);
  CHECK(load_model("wan2.1-t2v-1.3b").calls[0].tokens == 32760);
  CHECK(load_model("wan2.2-ti2v-5b").calls[0].tokens == 27280);
  CHECK(spec_of(load_model("glm-4.5"), load_model("glm-4.5").calls[0]).rope_dim == 64);
}

TEST_CASE("real files ask for tables, placements and sections", "[model]") {
  const auto spec = [](const char* name, std::size_t call) {
    const auto model = load_model(name);
    return spec_of(model, model.calls[call]);
  };
  CHECK(to_text(spec("qwen3-vl-8b", 1)) ==
        "head_dim=128,rope_dim=128,layout=neox,dtype=bf16,rounding=hf,sections=24+20+20,"
        "section_order=interleaved");
  CHECK(to_text(spec("deepseek-v4", 0)) ==
        "head_dim=512,rope_dim=64,layout=interleaved,dtype=bf16,placement=tail");
  CHECK(to_text(spec("cosmos1-7b", 0)) ==
        "head_dim=128,rope_dim=128,layout=neox,dtype=bf16,rounding=hf,positions=implicit,"
        "table_width=full");
  CHECK(to_text(spec("ernie-image", 0)) ==
        "head_dim=128,rope_dim=128,layout=neox,dtype=bf16,rounding=eager,positions=implicit,"
        "table=bf16,table_width=elements");
}

TEST_CASE("tables by position, and bases of axes, are checked", "[model]") {
  auto json = valid();
  json["tables"][0]["rows"] = "position";
  CHECK(mentions(refusal(json), {"rows by position", "three axes"}));
  json = valid();
  json["tables"][0]["theta"] = Json::array({10000, 0});
  CHECK(mentions(refusal(json), {"theta", "each axis"}));
  json = valid();
  json["tables"][0]["theta"] = Json::array();
  CHECK(mentions(refusal(json), {"theta", "each axis"}));
  auto vl = Json::parse(read_model_text("qwen3-vl-8b"));
  vl["calls"][1].erase("positions");
  CHECK(mentions(refusal(vl), {"call 'language'", "int64 or int32"}));
}

TEST_CASE("with_tokens scales runs and grids together", "[model]") {
  const auto flux = load_model("flux1-dev");
  auto same = with_tokens(flux, 4608);
  REQUIRE(same.has_value());
  CHECK(same->calls[0].tokens == 4096);
  CHECK(same->calls[0].position_offset == 512);

  auto quarter = with_tokens(flux, 4608 / 4);
  REQUIRE(quarter.has_value());
  CHECK(quarter->segment("text").run == 128);
  CHECK(quarter->segment("image").grid == std::vector<std::int64_t>{1, 32, 32});
  CHECK(quarter->calls[2].tokens == 1152);
  CHECK(quarter->calls[0].position_offset == 128);

  auto llm = with_tokens(load_model("qwen3-8b"), 777);
  REQUIRE(llm.has_value());
  CHECK(llm->calls[0].tokens == 777);

  for (const auto& name : model_names()) {
    auto tiny = with_tokens(load_model(name), 1);
    REQUIRE(tiny.has_value());
    for (const auto& call : tiny->calls) CHECK(call.tokens >= 1);
  }
  CHECK_FALSE(with_tokens(flux, 0).has_value());
  CHECK_FALSE(with_tokens(flux, std::int64_t{1} << 40).has_value());
}
