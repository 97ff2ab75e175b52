// The safetensors reader against files written by hand, right and wrong, and calls made of them.
#include "tools/qkjit/safetensors.hpp"

#include <sys/stat.h>

#include <cstring>

#include "cpu/cpu_path.hpp"
#include "op/check.hpp"
#include "tests/catch.hpp"
#include "tests/unit/mentions.hpp"
#include "tests/unit/temporary_directory.hpp"
#include "tools/qkjit/tensor_file.hpp"
#include "util/file.hpp"

using namespace qkjit;
using namespace std::string_literals;

namespace {

std::string file_of(const std::string& header, const std::string& data) {
  const std::uint64_t length = header.size();
  std::string file(8, '\0');
  std::memcpy(file.data(), &length, 8);
  return file + header + data;
}

/// A header entry whose numbers are JSON text.
std::string entry(const std::string& name, const std::string& dtype, const std::string& shape,
                  const std::string& offsets) {
  return fmt::format(R"("{}":{{"dtype":"{}","shape":{},"data_offsets":{}}})", name, dtype, shape,
                     offsets);
}

std::string object(const std::string& entries) { return fmt::format("{{{}}}", entries); }

bool rejects(const std::string& file, std::initializer_list<std::string_view> words) {
  return fails(parse_safetensors(file), Code::invalid_argument, words);
}

template <class T>
StoredTensor stored(const char* name, qkjit_dtype dtype, std::vector<std::int64_t> shape,
                    std::vector<T> values) {
  const auto* begin = reinterpret_cast<const std::byte*>(values.data());
  return {name, dtype, std::move(shape), {begin, begin + values.size() * sizeof(T)}};
}

const Spec kSpec = {2, 2, Layout::interleaved, DType::fp32, Rounding::fused, Positions::int64};

/// Two tokens; q has two heads. The table's row t turns by t quarters.
std::vector<StoredTensor> call_tensors() {
  return {stored<float>("q", QKJIT_FP32, {2, 2, 2}, {3, 3, -5, 5, 3, 3, -5, 5}),
          stored<float>("k", QKJIT_FP32, {2, 1, 2}, {1, 1, 1, 1}),
          stored<float>("q_weight", QKJIT_FP32, {2}, {1, 2}),
          stored<float>("k_weight", QKJIT_FP32, {2}, {4, 4}),
          stored<float>("cos_sin_cache", QKJIT_FP32, {3, 2}, {1, 0, 0, 1, -1, 0})};
}

/// The workload of the tensors, through a file.
Result<Workload> workload_of(const std::vector<StoredTensor>& tensors, const Spec& spec = kSpec) {
  const TemporaryDirectory directory;
  const auto path = directory.path() / "in.safetensors";
  REQUIRE(write_safetensors(path, tensors).has_value());
  return tensor_workload(path, spec, 0);
}

bool refuses(std::vector<StoredTensor> tensors, std::initializer_list<std::string_view> words) {
  return fails(workload_of(tensors), Code::invalid_argument, words);
}

}  // namespace

TEST_CASE("a file written by hand is read as it says", "[safetensors]") {
  const std::string header =
      object(fmt::format(R"("__metadata__":{{"format":"pt"}},{},{},{}   )",
                         entry("b", "I64", "[]", "[4,12]"), entry("a", "BF16", "[2,1]", "[0,4]"),
                         entry("none", "F16", "[0,3]", "[4,4]"))) +
      "   ";
  const auto tensors = parse_safetensors(file_of(header, "\x80\x3f\x00\xc0\x07\0\0\0\0\0\0\0"s));
  REQUIRE(tensors.has_value());
  REQUIRE(tensors->size() == 3);
  const StoredTensor &a = tensors->at(0), &none = tensors->at(1), &b = tensors->at(2);
  CHECK((a.name == "a" && a.dtype == QKJIT_BF16));
  CHECK(a.shape == std::vector<std::int64_t>{2, 1});
  CHECK(a.bytes == std::vector{std::byte{0x80}, std::byte{0x3f}, std::byte{0}, std::byte{0xc0}});
  CHECK((none.bytes.empty() && none.dtype == QKJIT_FP16));
  std::int64_t number = 0;
  REQUIRE(b.bytes.size() == sizeof(number));
  std::memcpy(&number, b.bytes.data(), sizeof(number));
  CHECK((number == 7 && b.shape.empty() && b.dtype == QKJIT_INT64));
}

TEST_CASE("what is written has the format's bytes, and is read again", "[safetensors]") {
  const std::vector<StoredTensor> tensors = {stored<std::int32_t>("i", QKJIT_INT32, {1}, {1})};
  const std::string header = R"({"i":{"dtype":"I32","shape":[1],"data_offsets":[0,4]}})";
  const std::string padded = header + std::string((8 - header.size() % 8) % 8, ' ');
  CHECK(format_safetensors(tensors) == file_of(padded, "\1\0\0\0"s));
  CHECK(padded.size() % 8 == 0);
}

TEST_CASE("a damaged or foreign file is refused with the reason", "[safetensors]") {
  const std::string one = entry("x", "F32", "[1]", "[0,4]"), data(4, 'd');
  REQUIRE(parse_safetensors(file_of(object(one), data)).has_value());
  CHECK(rejects("", {"0 bytes"}));
  CHECK(rejects("1234567", {"7 bytes"}));
  CHECK(rejects(std::string(8, '\xff'), {"header's length", "18446744073709551615"}));
  CHECK(rejects("\x10\0\0\0\0\0\0\0{}"s, {"header's length is 16", "2 bytes"}));
  CHECK(rejects(file_of("{nonsense", ""), {"not JSON"}));
  CHECK(rejects(file_of("[]", ""), {"must be a JSON object"}));
  CHECK(rejects(file_of(object(one + "," + one), data), {"'x'", "twice"}));
  CHECK(rejects(file_of(object(one), "ddd"), {"'x'", "ends at byte 4", "3"}));
  CHECK(rejects(file_of(object(one), "ddddd"), {"1 bytes", "no tensor"}));
  CHECK(rejects(file_of(object(entry("x", "F32", "[1]", "[4,8]")), data + data),
                {"'x'", "begins at byte 4 of the data, not at 0"}));
  CHECK(rejects(file_of(object(one + "," + entry("y", "F32", "[1]", "[2,6]")), data + data),
                {"'y'", "begins at byte 2 of the data, not at 4"}));
}

TEST_CASE("a wrong header entry is refused with tensor and field", "[safetensors]") {
  const auto refused = [](const std::string& text, std::initializer_list<std::string_view> words) {
    return rejects(file_of(object(text), "dddd"), words);
  };
  CHECK(refused(entry("x", "F64", "[1]", "[0,8]"), {"'x'", "dtype", "F64", "BF16"}));
  CHECK(refused(entry("x", "F32", "[2]", "[0,4]"), {"'x'", "data_offsets", "8 bytes"}));
  CHECK(refused(entry("x", "F32", "[1]", "[4,0]"), {"'x'", "data_offsets"}));
  CHECK(refused(entry("x", "F32", "[1]", "[0]"), {"'x'", "data_offsets", "2 entries"}));
  CHECK(refused(entry("x", "F32", "[-1]", "[0,4]"), {"'x'", "shape", "-1"}));
  CHECK(refused(entry("x", "F32", "[1.5]", "[0,4]"), {"'x'", "shape", "1.5"}));
  CHECK(refused(entry("x", "F32", "1", "[0,4]"), {"'x'", "shape", "list"}));
  CHECK(refused(entry("x", "F32", "[4611686018427387904,4]", "[0,4]"), {"'x'", "too large"}));
  CHECK(refused(entry("x", "F32", "[0,4611686018427387904,4]", "[0,0]"), {"'x'", "too large"}));
  CHECK(refused(entry("x", "F32", "[18446744073709551615]", "[0,4]"), {"'x'", "shape"}));
  CHECK(refused(R"("x":{"dtype":"F32","shape":[1]})", {"'x'", "data_offsets", "missing"}));
  CHECK(refused(R"("x":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"more":1})", {"'more'"}));
  CHECK(refused(R"("x":3)", {"'x'", "object"}));
}

TEST_CASE("a file that cannot be read is named", "[safetensors]") {
  const TemporaryDirectory directory;
  const auto path = directory.path() / "some.safetensors";
  CHECK(fails(read_safetensors(path), Code::cache_io, {"some.safetensors", "No such file"}));
  REQUIRE(publish_file(path, "short").has_value());
  CHECK(fails(read_safetensors(path), Code::invalid_argument, {"some.safetensors", "5 bytes"}));
}

TEST_CASE("a written file has the user's permissions", "[safetensors]") {
  const TemporaryDirectory directory;
  const auto path = directory.path() / "out.safetensors";
  const mode_t before = ::umask(027);
  const auto written = write_safetensors(path, call_tensors());
  CHECK(::umask(before) == 027);
  REQUIRE(written.has_value());
  struct stat status {};
  REQUIRE(::stat(path.c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0640);
}

TEST_CASE("tensors become a call, and its result a file", "[safetensors]") {
  auto work = workload_of(call_tensors());
  REQUIRE(work.has_value());
  CHECK(work->args.spec.positions == QKJIT_POSITIONS_IMPLICIT);
  CHECK(work->tokens() == 2);
  const auto op = check_args(work->args);
  REQUIRE(op.has_value());
  run_on_cpu(op->spec, op->params, op->batches_apart(), 1);

  const TemporaryDirectory directory;
  const auto path = directory.path() / "out.safetensors";
  REQUIRE(write_tensors(path, *work).has_value());
  const auto tensors = read_safetensors(path);
  REQUIRE(tensors.has_value());
  REQUIRE(tensors->size() == 2);
  CHECK(tensors->at(0).bytes ==
        stored<float>("", QKJIT_FP32, {}, {1, 2, -1, 2, -2, 1, -2, -1}).bytes);
  CHECK(tensors->at(0).shape == std::vector<std::int64_t>{2, 2, 2});
  CHECK((tensors->at(1).name == "k" && tensors->at(1).dtype == QKJIT_FP32));
  CHECK(tensors->at(1).bytes == stored<float>("", QKJIT_FP32, {}, {4, 4, -4, 4}).bytes);
}

TEST_CASE("positions of either width choose the spec's kind", "[safetensors]") {
  auto tensors = call_tensors();
  tensors.push_back(stored<std::int64_t>("positions", QKJIT_INT64, {2}, {2, 0}));
  const auto wide = workload_of(tensors);
  REQUIRE(wide.has_value());
  CHECK(wide->args.spec.positions == QKJIT_POSITIONS_INT64);
  CHECK(static_cast<const std::int64_t*>(wide->args.positions.data)[0] == 2);
  tensors.back() = stored<std::int32_t>("positions", QKJIT_INT32, {2}, {2, 0});
  const auto narrow = workload_of(tensors);
  REQUIRE(narrow.has_value());
  CHECK(narrow->args.spec.positions == QKJIT_POSITIONS_INT32);
}

TEST_CASE("a table may come in two parts, in bf16, and positions with three axes",
          "[safetensors]") {
  Spec spec = kSpec;
  spec.table = DType::bf16;
  auto tensors = call_tensors();
  tensors.pop_back();
  const auto values = [](const char* name, std::vector<std::uint16_t> bits) {
    return stored<std::uint16_t>(name, QKJIT_BF16, {3, 1}, std::move(bits));
  };
  tensors.push_back(values("cos", {0x3f80, 0, 0xbf80}));
  tensors.push_back(values("sin", {0, 0x3f80, 0}));
  const auto apart = workload_of(tensors, spec);
  REQUIRE(apart.has_value());
  CHECK(reinterpret_cast<std::uintptr_t>(apart->args.sin.data) % 16 ==
        reinterpret_cast<std::uintptr_t>(apart->args.cos.data) % 16);
  const auto op = check_args(apart->args);
  REQUIRE(op.has_value());
  run_on_cpu(op->spec, op->params, op->batches_apart(), 1);
  const auto* k = static_cast<const float*>(apart->args.k.data);
  CHECK((k[0] == 4 && k[1] == 4 && k[2] == -4 && k[3] == 4));

  CHECK(refuses(tensors, {"cos is bf16", "needs fp32"}));  // kSpec's
  tensors.pop_back();
  CHECK(refuses(tensors, {"no tensor 'sin'", "there are"}));
  tensors.push_back(stored<float>("cos_sin_cache", QKJIT_FP32, {3, 2}, std::vector<float>(6)));
  CHECK(refuses(tensors, {"no tensor 'sin'"}));

  Spec wide = {6, 6, Layout::neox, DType::fp32};
  std::ranges::fill(wide.sections, 1);
  const auto zeros = [](std::size_t count) { return std::vector<float>(count); };
  std::vector<StoredTensor> three = {
      stored<float>("q", QKJIT_FP32, {2, 1, 6}, zeros(12)),
      stored<float>("k", QKJIT_FP32, {2, 1, 6}, zeros(12)),
      stored<float>("q_weight", QKJIT_FP32, {6}, zeros(6)),
      stored<float>("k_weight", QKJIT_FP32, {6}, zeros(6)),
      stored<float>("cos_sin_cache", QKJIT_FP32, {4, 6}, zeros(24)),
      stored<std::int64_t>("positions", QKJIT_INT64, {3, 2}, {0, 1, 2, 3, 0, 3})};
  CHECK(workload_of(three, wide).has_value());
  three.back() = stored<std::int64_t>("positions", QKJIT_INT64, {3, 2}, {0, 1, 2, 4, 0, 3});
  const auto beyond = workload_of(three, wide);
  REQUIRE_FALSE(beyond.has_value());
  CHECK(mentions(beyond.error().message, {"positions[1, 1] = 4", "4 rows"}));
  three.pop_back();
  const auto without = workload_of(three, wide);
  REQUIRE_FALSE(without.has_value());
  CHECK(mentions(without.error().message, {"no tensor 'positions'", "[3, tokens]"}));
}

TEST_CASE("without rotation no table is needed, and one that is there is not used",
          "[safetensors]") {
  Spec spec = kSpec;
  spec.rope_dim = 0;
  CHECK(workload_of(call_tensors(), spec).has_value());
  auto tensors = call_tensors();
  tensors.pop_back();
  const auto work = workload_of(tensors, spec);
  REQUIRE(work.has_value());
  CHECK(work->args.cos_sin_cache.data == nullptr);
}

TEST_CASE("tensors that are missing or do not fit are named", "[safetensors]") {
  const auto changed = [](std::size_t index, StoredTensor tensor) {
    auto tensors = call_tensors();
    tensors[index] = std::move(tensor);
    return tensors;
  };
  const auto with = [](StoredTensor tensor) {
    auto tensors = call_tensors();
    tensors.push_back(std::move(tensor));
    return tensors;
  };
  for (std::size_t i = 0; i < 5; ++i) {
    auto tensors = call_tensors();
    const std::string name = "no tensor '" + tensors[i].name + "'";
    tensors.erase(tensors.begin() + static_cast<std::ptrdiff_t>(i));
    CHECK(refuses(tensors, {"in.safetensors", name, "there are"}));
  }
  CHECK(refuses(with(stored<float>("position", QKJIT_FP32, {1}, {0})), {"'position'", "known"}));
  CHECK(refuses(changed(0, stored<float>("q", QKJIT_FP32, {2, 1, 4}, std::vector<float>(8))),
                {"in.safetensors", "q ", "head_dim=2"}));
  CHECK(refuses(changed(0, stored<float>("q", QKJIT_FP32, {4, 2}, std::vector<float>(8))),
                {"q ", "rank 2"}));
  CHECK(refuses(changed(0, stored<float>("q", QKJIT_FP32, {}, {1})), {"'q'", "rank 0"}));
  CHECK(refuses(changed(1, stored<float>("k", QKJIT_FP32, {1, 1, 2}, {1, 1})),
                {"2 tokens and k has 1"}));
  CHECK(refuses(changed(1, stored<std::int16_t>("k", QKJIT_FP16, {2, 1, 2}, {1, 1, 1, 1})),
                {"k ", "fp16", "fp32"}));
  CHECK(refuses(changed(2, stored<float>("q_weight", QKJIT_FP32, {1}, {1})),
                {"q_weight", "1 elements"}));
  CHECK(refuses(changed(4, stored<float>("cos_sin_cache", QKJIT_FP32, {1, 2}, {1, 0})),
                {"cos_sin_cache", "1 rows"}));
  CHECK(refuses(changed(4, stored<float>("cos_sin_cache", QKJIT_FP32, {2, 1}, {1, 0})),
                {"cos_sin_cache", "rope_dim=2"}));
  CHECK(refuses(with(stored<std::int64_t>("positions", QKJIT_INT64, {2}, {0, 3})),
                {"positions[1] = 3", "3 rows"}));
  CHECK(refuses(with(stored<std::int64_t>("positions", QKJIT_INT64, {2}, {-1, 0})),
                {"positions[0] = -1"}));
  CHECK(refuses(with(stored<std::int64_t>("positions", QKJIT_INT64, {1}, {0})),
                {"positions", "1 elements"}));
  CHECK(refuses(with(stored<float>("positions", QKJIT_FP32, {2}, {0, 1})),
                {"'positions'", "F32", "I32 or I64"}));
}
