// The cases of `bench`: complete, each once, and laid out so that the library takes them.
#include <set>

#include "op/check.hpp"
#include "spec/text.hpp"
#include "tests/catch.hpp"
#include "tests/unit/model_files.hpp"
#include "tools/qkjit/bench/device_call.hpp"
#include "tools/qkjit/bench/outputs.hpp"
#include "tools/qkjit/bench/selection.hpp"

using namespace qkjit;
using namespace qkjit::bench;

namespace {

constexpr std::size_t kRotated = 600'000'000;
constexpr std::size_t kMostSets = 200;

std::vector<Case> chosen(const Selection& selection) {
  const auto cases = select_cases(selection);
  INFO((cases ? "" : cases.error().message));
  REQUIRE(cases.has_value());
  return *cases;
}

Error refusal(const Selection& selection) {
  const auto cases = select_cases(selection);
  REQUIRE_FALSE(cases.has_value());
  return cases.error();
}

/// A pool that is only an address: nothing here touches memory.
std::byte* pool() { return reinterpret_cast<std::byte*>(std::uintptr_t{1} << 40); }

Operation checked(const Case& c, const Placement& placement, std::size_t set) {
  const auto spec = parse_c_spec(to_text(c.spec));
  REQUIRE(spec.has_value());
  const auto op = check_args(args_of(c, placement, *spec, pool(), set));
  INFO(c.full_name() << ": " << (op ? "" : op.error().message));
  REQUIRE(op.has_value());
  return *op;
}

}  // namespace

TEST_CASE("every shape is measured once", "[bench]") {
  const auto cases = chosen({});
  std::set<std::string> names;
  for (std::size_t i = 0; i < cases.size(); ++i) {
    CHECK(names.insert(cases[i].full_name()).second);
    for (const std::string& also : cases[i].also) CHECK(names.insert(also).second);
    for (std::size_t j = 0; j < i; ++j) {
      INFO(cases[i].full_name() << " and " << cases[j].full_name());
      CHECK_FALSE(same_shape(cases[i], cases[j]));
    }
  }
}

TEST_CASE("every call of a model is a case", "[bench]") {
  std::set<std::string> names;
  for (const Case& c : chosen({.groups = {"models"}})) {
    names.insert(c.full_name());
    names.insert(c.also.begin(), c.also.end());
  }
  std::size_t calls = 0;
  for (const std::string& name : ::model_names()) {
    for (const Call& call : load_model(name).calls) {
      ++calls;
      INFO(name << " " << call.name);
      CHECK(names.contains("models/" + name + "/" + call.name));
    }
  }
  CHECK(names.size() == calls);
}

TEST_CASE("a model's case has its own view, table and positions", "[bench]") {
  const auto flux = chosen({.name = "single", .model = "flux2-dev"});
  REQUIRE(flux.size() == 1);
  CHECK(flux[0].view.row_stride == 55296);
  CHECK(flux[0].view.k_offset == 6144);
  CHECK(flux[0].table_rows == 4608);
  const auto text = chosen({.name = "double.image", .model = "flux1-dev"});
  CHECK(text[0].position_offset == 512);
  CHECK(text[0].table_rows == 4608);
}

TEST_CASE("what the goals name is there", "[bench]") {
  for (const char* name : {"measured/75600x40+40 neox", "measured/19x24+24 interleaved",
                           "grid/16384x24+24 neox 128/256", "grid/8192x24+24 neox 96/128",
                           "grid/4096x24+24 fp32 interleaved 128/128", "grid/8192x4+1 neox 128/128",
                           "grid/16384x24+24 interleaved 128/128 packed QKV"}) {
    CHECK(chosen({.name = name}).size() == 1);
  }
}

TEST_CASE("selections that name nothing say what there is", "[bench]") {
  const Error unknown = refusal({.name = "flux1-dex"});
  CHECK(unknown.code == Code::unsupported);
  CHECK(unknown.message.find("'flux1-dex'") != std::string::npos);
  CHECK(unknown.message.find("--list") != std::string::npos);
  CHECK(refusal({.model = "no-model"}).code == Code::unsupported);
  CHECK(refusal({.spec = "head_dim=128"}).code == Code::invalid_argument);
}

TEST_CASE("the library takes every case on its fused path, on every set", "[bench]") {
  for (const Case& c : chosen({})) {
    const auto placement = place(c, kRotated, kMostSets);
    REQUIRE(placement.has_value());
    INFO(c.full_name());
    for (const std::size_t set : {std::size_t{0}, placement->sets - 1}) {
      const Operation op = checked(c, *placement, set);
      CHECK(op.aligned);
      CHECK(op.support.dispatch.path == Path::fused);
      CHECK(op.params.row_count == c.rows());
      CHECK(op.table_rows == c.table_rows);
    }
  }
}

TEST_CASE("sets leave the L2 cache, or there is one that stays", "[bench]") {
  for (const Case& c : chosen({})) {
    const auto placement = place(c, kRotated, kMostSets);
    REQUIRE(placement.has_value());
    CHECK(placement->sets >= 2);
    CHECK(placement->sets <= kMostSets);
    CHECK((placement->sets == kMostSets || placement->sets * qk_bytes(c) >= kRotated));
    CHECK(placement->table >= placement->sets * placement->set_bytes);
    CHECK(place(c, 0, kMostSets)->sets == 1);
  }
}

TEST_CASE("outputs of another kind count by their own bytes", "[bench]") {
  Spec spec{.head_dim = 128, .rope_dim = 128};
  CHECK(bytes_beyond_copy(spec_case(spec, 16, 4, 2)) == 0);
  spec.q_out = spec.k_out = Out::fp8_e4m3;
  CHECK(bytes_beyond_copy(spec_case(spec, 16, 4, 2)) == -16 * 128 * 6);
  spec.out_scale = OutScale::head;
  CHECK(bytes_beyond_copy(spec_case(spec, 16, 4, 2)) == -16 * 128 * 6 + 16 * 6 * 4);
  spec.out_scale = OutScale::token;
  CHECK(bytes_beyond_copy(spec_case(spec, 16, 4, 2)) == -16 * 128 * 6 + 16 * 2 * 4);
  spec.q_out = spec.k_out = Out::same, spec.out_scale = OutScale::given;
  spec.cache = Cache::paged, spec.v = Values::copy;
  const Case paged = spec_case(spec, 16, 4, 2);
  CHECK(bytes_beyond_copy(paged) == 16 * 128 * 2 * (2 + 2) + 16 * 8);
  CHECK(slots_of(paged).size() == 16 * 8);
}

TEST_CASE("the copy moves exactly the bytes of q and k", "[bench]") {
  for (const Case& c : chosen({})) {
    const auto placement = place(c, kRotated, kMostSets);
    REQUIRE(placement.has_value());
    const Operation op = checked(c, *placement, 1);
    const CopyParams copy = copy_of(c, *placement, pool(), 1);
    INFO(c.full_name());
    CHECK(16 * (std::size_t{copy.q.vectors} + copy.k.vectors) == qk_bytes(c));
    const int element = c.spec.dtype == DType::fp32 ? 4 : 2;
    for (const auto& [part, rows, heads] :
         {std::tuple{copy.q, op.params.q, c.heads_q}, {copy.k, op.params.k, c.heads_k}}) {
      CHECK(16 * part.row == static_cast<unsigned>(heads * c.spec.head_dim * element));
      if (heads == 0) continue;
      CHECK(part.data == rows.in);
      CHECK(16LL * part.stride == rows.in_token_stride * element);
    }
  }
}

TEST_CASE("rows that the copy cannot take are refused", "[bench]") {
  const auto odd = chosen({.spec = "head_dim=33,rope_dim=32,layout=neox,dtype=bf16",
                           .tokens = 4,
                           .heads_q = 3,
                           .heads_k = 1});
  const auto placement = place(odd[0], kRotated, kMostSets);
  REQUIRE_FALSE(placement.has_value());
  CHECK(placement.error().message.find("16 bytes") != std::string::npos);
}

TEST_CASE("a part of the split takes only its own tensors", "[bench]") {
  const Case c = chosen({.name = "measured/4096x24+24 neox"})[0];
  const auto placement = place(c, kRotated, kMostSets);
  const auto norm = parse_c_spec(norm_only(c.spec));
  REQUIRE(norm.has_value());
  const auto op = check_args(args_of(c, *placement, *norm, pool(), 0));
  REQUIRE(op.has_value());
  CHECK(op->params.cosines == nullptr);
  CHECK(op->params.q.weight != nullptr);
  const auto rope = parse_c_spec(rope_only(c.spec));
  REQUIRE(rope.has_value());
  const auto rotation = check_args(args_of(c, *placement, *rope, pool(), 0));
  REQUIRE(rotation.has_value());
  CHECK(rotation->params.q.weight == nullptr);
  CHECK(rotation->params.cosines != nullptr);
}

TEST_CASE("positions lie in the table, and distinct rows are counted", "[bench]") {
  const PositionData random = positions_of(chosen({.name = "measured/75600x40+40 neox"})[0]);
  std::set<std::int64_t> rows;
  for (std::size_t at = 0; at < random.array.size(); at += sizeof(std::int64_t)) {
    std::int64_t row = 0;
    std::memcpy(&row, random.array.data() + at, sizeof(row));
    REQUIRE((row >= 0 && row < kRandomTableRows));
    rows.insert(row);
  }
  CHECK(random.array.size() == 75600 * sizeof(std::int64_t));
  CHECK(random.distinct_rows == static_cast<std::int64_t>(rows.size()));
  CHECK(random.distinct_rows < 75600);
  const PositionData counted = positions_of(chosen({.model = "qwen3-8b"})[0]);
  CHECK(counted.distinct_rows == 4096);
  CHECK(positions_of(chosen({.model = "flux1-dev"})[0]).array.empty());
}

TEST_CASE("random data is finite in every dtype and around 1", "[bench]") {
  const auto pattern = random_pattern(1 << 16);
  double squares = 0;
  for (std::size_t at = 0; at < pattern.size(); at += 2) {
    std::uint16_t bits = 0;
    std::memcpy(&bits, pattern.data() + at, 2);
    REQUIRE((bits & 0x7fff) < 0x7c00);  // no infinity or NaN of fp16, still less of bf16
    const std::uint32_t wide = std::uint32_t{bits} << 16;
    float value = 0;
    std::memcpy(&value, &wide, 4);
    squares += static_cast<double>(value) * value;
  }
  CHECK(squares / (1 << 15) == Approx(1).margin(0.05));
}
