// Tables against cosines and sines worked out by hand in double from each model's definition.
#include "tools/qkjit/rope_table.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "tests/catch.hpp"
#include "tests/unit/model_files.hpp"

using namespace qkjit;

namespace {

RopeTable table_of(const std::string& model_name, const std::string& table) {
  const auto model = load_model(model_name);
  auto result = build_rope_table(model, model.table(table));
  REQUIRE(result.has_value());
  CHECK(result->values.size() ==
        static_cast<std::size_t>(result->rows) * static_cast<std::size_t>(result->rope_dim));
  return *result;
}

/// Pair `pair` of row `row` must be (cos angle, sin angle), each rounded once to fp32.
void check_pair(const RopeTable& table, std::int64_t row, int pair, double angle) {
  const float* values = table.values.data() + row * table.rope_dim;
  INFO("row " << row << " pair " << pair);
  CHECK(values[pair] == static_cast<float>(std::cos(angle)));
  CHECK(values[table.rope_dim / 2 + pair] == static_cast<float>(std::sin(angle)));
}

/// theta^(-2i/d), by a way other than the code under test takes.
double turn(double theta, int i, double d) { return std::exp2(-2.0 * i / d * std::log2(theta)); }

}  // namespace

TEST_CASE("FLUX.1: text at 0, then the image's rows and columns", "[rope_table]") {
  const auto table = table_of("flux1-dev", "joint");
  CHECK(table.rows == 4608);
  CHECK(table.rope_dim == 128);
  for (int pair : {0, 8, 63}) check_pair(table, 511, pair, 0.0);
  const std::int64_t row = 512 + 5 * 64 + 9;
  check_pair(table, row, 3, 0.0);               // frame: 8 pairs, always 0
  check_pair(table, row, 8, 5.0);               // row, first of 28 pairs
  check_pair(table, row, 8 + 14, 5.0 / 100.0);  // 10000^(-28/56)
  check_pair(table, row, 36, 9.0);              // column
  check_pair(table, row, 36 + 7, 9.0 * 0.1);    // 10000^(-14/56)
}

TEST_CASE("FLUX.2: text counts on the fourth axis", "[rope_table]") {
  const auto table = table_of("flux2-dev", "joint");
  CHECK(table.rows == 4608);
  check_pair(table, 7, 0, 0.0);
  check_pair(table, 7, 48, 7.0);
  check_pair(table, 7, 48 + 8, 7.0 / std::sqrt(2000.0));
  check_pair(table, 512 + 3 * 64 + 4, 16, 3.0);
  check_pair(table, 512 + 3 * 64 + 4, 32, 4.0);
  check_pair(table, 512 + 3 * 64 + 4, 48, 0.0);
}

TEST_CASE("Qwen-Image: centred image, text after its largest coordinate", "[rope_table]") {
  const auto image = table_of("qwen-image", "image");
  CHECK(image.rows == 4096);
  check_pair(image, 0, 8, -32.0);
  check_pair(image, 0, 36, -32.0);
  check_pair(image, 4095, 8, 31.0);
  check_pair(image, 2 * 64 + 40, 36, 8.0);
  const auto text = table_of("qwen-image", "text");
  CHECK(text.rows == 47);
  for (int pair : {0, 8, 36}) check_pair(text, 0, pair, 32.0);
  for (int pair : {0, 8, 36}) check_pair(text, 46, pair, 78.0);

  const auto edit = table_of("qwen-image-edit", "image");
  check_pair(edit, 4211, 0, 0.0);
  check_pair(edit, 4212, 0, 1.0);
  check_pair(edit, 4212, 8, -27.0);
  check_pair(edit, 4212, 36, -39.0);
  check_pair(table_of("qwen-image-edit", "text"), 0, 0, 39.0);
}

TEST_CASE("an odd extent has its extra coordinate on the negative side", "[rope_table]") {
  Segment segment;
  segment.grid = {5};
  segment.axes.resize(1);
  segment.axes[0].centred = true;
  const auto coordinates = axis_coordinates(Model{}, segment);
  CHECK(coordinates == std::vector<std::vector<double>>{{-3, -2, -1, 0, 1}});
}

TEST_CASE("Z-Image: the image's frame number follows the caption", "[rope_table]") {
  const auto table = table_of("z-image", "joint");
  CHECK(table.rows == 4128);
  check_pair(table, 64 + 2, 0, 33.0);
  check_pair(table, 64 + 2, 16, 1.0);
  check_pair(table, 64 + 2, 40, 2.0);
  check_pair(table, 64 + 2, 40 + 12, 2.0 / 16.0);  // 256^(-24/48)
  check_pair(table, 4096, 0, 1.0);
  check_pair(table, 4127, 0, 32.0);
  check_pair(table, 4127, 16, 0.0);
}

TEST_CASE("HunyuanVideo: frames, rows, columns", "[rope_table]") {
  const auto table = table_of("hunyuanvideo", "video");
  CHECK(table.rows == 27030);
  const std::int64_t row = (11 * 30 + 7) * 53 + 52;
  check_pair(table, row, 0, 11.0);
  check_pair(table, row, 4, 11.0 / 16.0);  // 256^(-8/16)
  check_pair(table, row, 8, 7.0);
  check_pair(table, row, 36, 52.0);
}

TEST_CASE("one-dimensional tables, whole and partial", "[rope_table]") {
  const auto whole = table_of("qwen3-8b", "prompt");
  CHECK(whole.rope_dim == 128);
  check_pair(whole, 4095, 0, 4095.0);
  check_pair(whole, 4095, 32, 4.095);  // 1e6^(-64/128)
  const auto partial = table_of("glm-4.5", "prompt");
  CHECK(partial.rope_dim == 64);
  check_pair(partial, 100, 16, 0.1);  // over 64 channels, not 128
  check_pair(table_of("gemma-3-4b", "global"), 80, 0, 10.0);
}

TEST_CASE("Qwen3-VL: rows by position, which tokens take on three axes", "[rope_table]") {
  const auto table = table_of("qwen3-vl-8b", "mrope");
  CHECK(table.rows == 16 + 32 + 32);
  for (const int pair : {0, 1, 2, 60, 63}) {
    const double angle = 21 * turn(5e6, pair, 128);
    const float* values = table.values.data() + 21 * 128;
    CHECK(values[pair] == Approx(std::cos(angle)).margin(1e-6));
    CHECK(values[64 + pair] == Approx(std::sin(angle)).margin(1e-6));
  }
  constexpr std::size_t kTokens = 16 + 1024 + 32;
  REQUIRE(table.positions.size() == 3 * kTokens);
  const auto position = [&](std::size_t axis, std::size_t token) {
    return table.positions[axis * kTokens + token];
  };
  for (const std::size_t axis : {0, 1, 2}) {
    CHECK(position(axis, 15) == 15);
    CHECK(position(axis, 16 + 1024) == 48);  // text goes on after 16 + 32
  }
  const std::size_t patch = 16 + 3 * 32 + 5;
  CHECK((position(0, patch) == 16 && position(1, patch) == 19 && position(2, patch) == 21));
}

TEST_CASE("axes in turns by token take their angles as by position", "[rope_table]") {
  Model model = load_model("qwen3-vl-8b");
  const Table& mrope = model.table("mrope");
  const auto by_position = build_rope_table(model, mrope);
  Table by_token = mrope;
  by_token.rows = TableBy::token;
  const auto rows = build_rope_table(model, by_token);
  REQUIRE((rows && by_position && rows->rows == 16 + 1024 + 32));
  const std::size_t tokens = 16 + 1024 + 32, patch = 16 + 3 * 32 + 5;
  for (std::size_t pair = 0; pair < 64; ++pair) {
    const std::size_t turn = pair % 3, axis = pair < 61 ? turn : 0;  // t h w ... t h w t, t t t
    const auto row = static_cast<std::size_t>(by_position->positions[axis * tokens + patch]);
    INFO(pair);
    CHECK(rows->values[patch * 128 + pair] == by_position->values[row * 128 + pair]);
  }
}

TEST_CASE("rows by position need whole positions from 0 on", "[rope_table]") {
  Model model = load_model("qwen3-vl-8b");
  for (Segment& segment : model.segments) {
    if (segment.name == "prompt") segment.axes[1].start = 0.5;
  }
  const auto table = build_rope_table(model, model.table("mrope"));
  REQUIRE_FALSE(table.has_value());
  CHECK(table.error().message.find("whole positions") != std::string::npos);
}

TEST_CASE("ERNIE-Image: each angle twice, one after the other; Cosmos: halves repeat",
          "[rope_table]") {
  const auto values = [](const char* name, const char* table_name) {
    const auto model = load_model(name);
    const Spec spec = spec_of(model, model.calls[0]);
    const auto table = build_rope_table(model, model.table(table_name));
    REQUIRE(table.has_value());
    const auto bytes = table_bytes(spec, *table);
    CHECK(bytes.size() == static_cast<std::size_t>(table->rows * 256 * size_of(spec.table)));
    const std::size_t row = static_cast<std::size_t>(77 * 256 * size_of(spec.table));
    std::vector<float> result;
    for (std::size_t i = 0; i < 256; ++i) {
      unsigned bits = 0;
      const auto size = static_cast<std::size_t>(size_of(spec.table));
      std::memcpy(&bits, bytes.data() + row + i * size, size);
      result.push_back(std::bit_cast<float>(size == 2 ? bits << 16 : bits));
    }
    return result;
  };
  const auto ernie = values("ernie-image", "joint");
  // Token 77 of the image: after 128 of text, in row 1, column 13.
  for (std::size_t i : {0, 1, 31}) {
    const double angle = 128 * turn(256, static_cast<int>(i / 2), 32);
    CHECK(ernie[i] == Approx(std::cos(angle)).margin(1.0 / 256));
    CHECK(ernie[128 + i] == Approx(std::sin(angle)).margin(1.0 / 256));
  }
  CHECK(ernie[80] == Approx(std::cos(13.0)).margin(1.0 / 256));
  CHECK(ernie[81] == ernie[80]);
  const auto cosmos = values("cosmos1-7b", "video");
  for (std::size_t i = 0; i < 64; ++i) {
    CHECK(cosmos[i] == cosmos[64 + i]);
    CHECK(cosmos[128 + i] == cosmos[192 + i]);
  }
  CHECK(cosmos[43] == static_cast<float>(std::cos(77.0)));  // column 77: the 3rd axis's first pair
}

TEST_CASE("MiniMax H3: fractional positions, values rounded to bf16", "[rope_table]") {
  const auto table = table_of("minimax-h3", "packed");
  CHECK(table.rows == 37760);
  CHECK(table.rope_dim == 96);
  const auto finer = std::count_if(table.values.begin(), table.values.end(), [](float value) {
    return (std::bit_cast<std::uint32_t>(value) & 0xffffu) != 0;
  });
  CHECK(finer == 0);
  auto check = [&](std::int64_t row, int pair, double angle) {
    CHECK(table.values[static_cast<std::size_t>(row * 96 + pair)] ==
          Approx(std::cos(angle)).margin(1.0 / 256 / 2));
    CHECK(table.values[static_cast<std::size_t>(row * 96 + 48 + pair)] ==
          Approx(std::sin(angle)).margin(1.0 / 256 / 2));
  };
  check(49, 0, 49.0);
  check(49, 16, 0.0);
  check(50 + 3, 0, 53.0);
  const std::int64_t video = 50 + 2 * 207;
  const double area = std::sqrt(48.0 * 84.0);
  check(video + 2 * 1008, 0, 50.0 + 5.0 / 3.0 * 5);
  check(video + 2 * 1008, 16, (1 - 48 / area) / 2 * 32);
  check(video + 2 * 1008 + 41, 32, ((1 - 84 / area) / 2 + 84 / area * 41 / 42) * 32);
  check(video + 6 * 1008, 0, 50.0 + 5.0 / 3.0 * 18);
}

TEST_CASE("LTX-2: rising frequencies, axes in turns, over the channels of all heads",
          "[rope_table]") {
  const auto model = load_model("ltx-2");
  const double quarter = std::acos(0.0);
  const auto check = [&](const RopeTable& table, std::int64_t row, int pair, double angle) {
    const float* values = table.values.data() + row * table.rope_dim;
    INFO("row " << row << " pair " << pair);
    CHECK(values[pair] == Approx(std::cos(angle)).margin(0.004));  // stored as bf16
    CHECK(values[table.rope_dim / 2 + pair] == Approx(std::sin(angle)).margin(0.004));
  };
  // Frame 3 of the latents spans the frames 17 to 25; row 5 and column 7 are patches of 32 pixels.
  const double t = 21.0 / 24 / 20 * 2 - 1, h = 5.5 * 32 / 2048 * 2 - 1, w = 7.5 * 32 / 2048 * 2 - 1;
  const std::int64_t row = 3 * 34 * 60 + 5 * 60 + 7;
  const auto video = table_of("ltx-2", "video");
  CHECK((video.rows == 16 * 34 * 60 && video.rope_dim == 32 * 128));
  for (int pair : {0, 1}) check(video, row, pair, 0.0);
  for (int j : {0, 1, 200, 681}) {
    const double turn = quarter * std::exp2(std::log2(10000.0) * j / 681);
    check(video, row, 2 + 3 * j, t * turn);
    check(video, row, 3 + 3 * j, h * turn);
    check(video, row, 4 + 3 * j, w * turn);
  }
  check(video, 0, 2, (0.5 / 24 / 20 * 2 - 1) * quarter);

  const auto time = table_of("ltx-2", "video.time"), audio = table_of("ltx-2", "audio");
  CHECK((time.rope_dim == 32 * 64 && audio.rope_dim == 32 * 64 && audio.rows == 126));
  for (int j : {0, 1, 700, 1023}) {
    const double turn = quarter * std::exp2(std::log2(10000.0) * j / 1023);
    check(time, row, j, t * turn);
    check(audio, 0, j, (0.005 / 20 * 2 - 1) * turn);  // the first latent has one frame of 10 ms
    check(audio, 9, j, ((9 * 4 - 3 + 2) * 0.01 / 20 * 2 - 1) * turn);
  }
}

TEST_CASE("Gemma 4: a quarter of a global head's pairs turns", "[rope_table]") {
  const auto table = table_of("gemma-4-26b-a4b", "global");
  for (int pair : {0, 1, 63}) check_pair(table, 1, pair, turn(1e6, pair, 512));
  for (int pair : {64, 255}) check_pair(table, 4095, pair, 0.0);
}

TEST_CASE("MOVA: the bridge counts the video's frames in steps of the audio", "[rope_table]") {
  const auto table = table_of("mova-720p", "bridge.video");
  const std::int64_t row = 3 * 45 * 80 + 4711 % (45 * 80);
  CHECK(table.values[static_cast<std::size_t>(row * 128)] == Approx(std::cos(25.0)).margin(0.004));
  CHECK(table.values[static_cast<std::size_t>(row * 128 + 64)] ==
        Approx(std::sin(25.0)).margin(0.004));
}

TEST_CASE("MiniMax H3's decoder: 2 pi over a clip, the registers in its middle", "[rope_table]") {
  const auto table = table_of("minimax-h3-decoder", "clip");
  const std::int64_t row = 1 * 48 * 84 + 47 * 84 + 83;  // of 5 x 48 x 84
  const double pi = 2 * std::acos(0.0);
  for (const auto& [pair, part] : {std::pair{0, 1.5 / 5}, {8, 47.5 / 48}, {16, 83.5 / 84}}) {
    const double angle = 2 * pi * (2 * part - 1);
    CHECK(table.values[static_cast<std::size_t>(row * 48 + pair)] ==
          Approx(std::cos(angle)).margin(0.004));
    CHECK(table.values[static_cast<std::size_t>(row * 48 + pair + 1)] ==
          Approx(std::cos(angle * std::exp2(-std::log2(100.0) / 8))).margin(0.004));
  }
  CHECK(table.values[static_cast<std::size_t>((table.rows - 1) * 48)] == 1.0f);
}

TEST_CASE("starts follow when a pattern is rescaled", "[rope_table]") {
  const auto small = with_tokens(load_model("z-image"), 4128 / 4);
  REQUIRE(small.has_value());
  const auto table = build_rope_table(*small, small->table("joint"));
  REQUIRE(table.has_value());
  CHECK(table->rows == 8 + 1024);
  check_pair(*table, 0, 0, 9.0);
}
