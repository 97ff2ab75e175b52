// Tables of measured variants: read strictly, used where they are another GPU's never.
#include "tuning/tuning.hpp"

#include <fstream>

#include "spec/text.hpp"
#include "spec/variant.hpp"
#include "tests/unit/mentions.hpp"
#include "tests/unit/temporary_directory.hpp"
#include "tuning/builtin.hpp"

using namespace qkjit;

namespace {

const Spec kSpec = {.head_dim = 128, .rope_dim = 128};
constexpr const char* kDevice = "NVIDIA H200";

std::string table_of(const std::string& rows, const std::string& device = kDevice) {
  return fmt::format(R"({{"schema": "qkjit.tuning/1", "device": "{}", "target": "sm_90",
    "date": "2026-11-24", "specs": {{"{}": [{}]}}}})",
                     device, to_text(kSpec), rows);
}

constexpr const char* kSmall =
    R"({"from_bytes": 0, "variant": "lanes=16,rows=1,threads=256", "percent": 97.5})";
constexpr const char* kLarge =
    R"({"from_bytes": 1000, "variant": "lanes=16,rows=4,threads=64,staging=bulk"})";

bool refuses(const std::string& json, std::initializer_list<std::string_view> words) {
  return fails(parse_tuning(json, kDevice, "sm_90"), Code::invalid_argument, words);
}

}  // namespace

TEST_CASE("a tuning table gives the measured variants", "[tuning]") {
  const auto table =
      parse_tuning(table_of(fmt::format("{}, {}", kSmall, kLarge)), kDevice, "sm_90");
  REQUIRE(table.has_value());
  const Choices& choices = table->specs.at(to_text(kSpec));
  REQUIRE(choices.size() == 2);
  CHECK(choices[0].variant == Variant{.lanes = 16, .rows = 1, .threads = 256});
  CHECK(choices[1].from_bytes == 1000);
  CHECK(choices[1].variant.staging == Staging::bulk);
}

TEST_CASE("a tuning table that is not one, or another GPU's, is refused", "[tuning]") {
  CHECK(refuses("{", {}));
  CHECK(refuses("{}", {"schema"}));
  CHECK(refuses(table_of(kSmall, "NVIDIA B200"), {"NVIDIA B200", "NVIDIA H200"}));
  CHECK(refuses(table_of(kLarge), {"begin at 0 bytes"}));
  CHECK(refuses(table_of(fmt::format("{}, {}", kSmall, kSmall)), {"rise"}));
  CHECK(refuses(table_of(R"({"from_bytes": -1, "variant": "lanes=16,rows=1,threads=256"})"),
                {"from_bytes=-1"}));
  CHECK(refuses(table_of(""), {"begin at 0 bytes"}));
  CHECK(refuses(table_of(R"({"from_bytes": 0, "variant": "lanes=32,rows=1,threads=32"})"),
                {"power of two up to 16"}));
  CHECK(refuses(table_of(R"({"from_bytes": 0, "variant": "lanes=16"})"), {"no rows"}));
  CHECK(refuses(table_of(R"({"variant": "lanes=16,rows=1,threads=32"})"), {"from_bytes"}));
}

TEST_CASE("the first directory with a table for the GPU decides, else what is built in",
          "[tuning]") {
  const TemporaryDirectory mine, theirs;
  const auto log = Log::create([](int, const char*, void*) {}, nullptr, "").value();
  const std::vector<std::filesystem::path> directories = {mine.path(), theirs.path()};
  const auto choices = [&] { return Tuning(directories, log).choices(kSpec, kDevice, "sm_90"); };
  CHECK(choices() == builtin_choices(kSpec, "sm_90"));

  const std::string name = tuning_file_name(kDevice, "sm_90");
  CHECK(name == "tuning-NVIDIA_H200-sm_90.json");
  std::ofstream(theirs.path() / name) << table_of(kSmall);
  CHECK(choices().front().variant.threads == 256);
  CHECK(Tuning(directories, log).choices(kSpec, "NVIDIA B200", "sm_90") ==
        builtin_choices(kSpec, "sm_90"));
  CHECK(Tuning(directories, log).choices({64, 64}, kDevice, "sm_90") ==
        builtin_choices({64, 64}, "sm_90"));

  std::ofstream(mine.path() / name) << "damaged";
  CHECK(choices().front().variant.threads == 256);
  std::ofstream(mine.path() / name)
      << table_of(R"({"from_bytes": 0, "variant": "lanes=8,rows=1,threads=32"})");
  CHECK(choices().front().variant.threads == 32);
}

TEST_CASE("GPUs whose names give the same file name do not share a table", "[tuning]") {
  const TemporaryDirectory directory;
  const auto log = Log::create([](int, const char*, void*) {}, nullptr, "").value();
  std::ofstream(directory.path() / tuning_file_name("A B", "sm_90")) << table_of(kSmall, "A B");
  Tuning tuning({directory.path()}, log);
  CHECK(tuning.choices(kSpec, "A B", "sm_90").front().variant.threads == 256);
  CHECK(tuning.choices(kSpec, "A_B", "sm_90") == builtin_choices(kSpec, "sm_90"));
}

TEST_CASE("the choice follows the size of the call and what its strides allow", "[tuning]") {
  const Variant registers{.lanes = 16, .rows = 2, .threads = 128};
  Variant bulk = registers;
  bulk.staging = Staging::bulk;
  Variant wide = registers;
  wide.threads = 256;
  const Choices choices = {{0, registers}, {100, wide}, {200, bulk}};
  CHECK(choose(choices, 0, true).variant == registers);
  CHECK(choose(choices, 99, true).variant == registers);
  CHECK(choose(choices, 100, true).variant == wide);
  CHECK(choose(choices, 1000, true).variant == bulk);
  CHECK(choose(choices, 1000, false).variant == wide);
}

TEST_CASE("where not all can be had, the best that serves the call is chosen", "[tuning]") {
  const Variant registers{.lanes = 16, .rows = 2, .threads = 128};
  Variant bulk = registers;
  bulk.staging = Staging::bulk;
  Variant wide = registers;
  wide.threads = 256;
  const Choices choices = {{0, registers}, {100, wide}, {200, bulk}};
  const auto among = [&](std::uint64_t bytes, bool takes_bulk, const std::vector<Variant>& usable) {
    return choose(choices, bytes, takes_bulk, std::identity{}, [&](const Choice& choice) {
      return std::ranges::find(usable, choice.variant) != usable.end();
    });
  };
  CHECK(among(1000, true, {registers, wide})->variant == wide);
  CHECK(among(1000, true, {registers})->variant == registers);
  CHECK(among(0, true, {wide, bulk})->variant == wide);  // for more, but it serves
  CHECK(among(0, true, {bulk})->variant == bulk);
  CHECK(among(1000, false, {bulk}) == nullptr);
}
