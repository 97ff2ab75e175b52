// The C interface without launches: specs, runtimes, errors and statistics.
#include <atomic>
#include <cstring>
#include <fstream>
#include <thread>

#include "tests/unit/host_problem.hpp"
#include "tests/unit/mentions.hpp"
#include "tests/unit/temporary_directory.hpp"

namespace {

constexpr const char* kText = "head_dim=64,rope_dim=64,layout=neox,dtype=bf16";

qkjit_spec spec_of(const char* text) {
  qkjit_spec spec = QKJIT_SPEC_INIT;
  REQUIRE(qkjit_spec_parse(text, &spec) == QKJIT_OK);
  return spec;
}

bool refused(qkjit_status status, std::initializer_list<std::string_view> words) {
  return status == QKJIT_INVALID_ARGUMENT && mentions(qkjit_last_error(), words);
}

qkjit_stats stats_of(const RuntimePointer& runtime) {
  qkjit_stats stats = QKJIT_STATS_INIT;
  REQUIRE(qkjit_get_stats(runtime.get(), &stats) == QKJIT_OK);
  return stats;
}

}  // namespace

TEST_CASE("a spec is parsed and formatted", "[c_api]") {
  const std::string given = "head_dim=96,rope_dim=72,layout=neox,dtype=fp32,rounding=hf";
  const qkjit_spec spec = spec_of(given.c_str());
  CHECK(spec.struct_size == sizeof(qkjit_spec));
  CHECK((spec.head_dim == 96 && spec.rope_dim == 72 && spec.layout == QKJIT_NEOX));
  CHECK((spec.dtype == QKJIT_FP32 && spec.rounding == QKJIT_ROUNDING_HF));
  CHECK(spec.positions == QKJIT_POSITIONS_INT64);

  size_t size = 0;
  CHECK(refused(qkjit_spec_format(&spec, nullptr, 0, &size), {"needs 59 bytes, 0 are given"}));
  REQUIRE(size == given.size() + 1);
  const std::string untouched(size + 1, '#');
  std::string text = untouched;
  CHECK(refused(qkjit_spec_format(&spec, text.data(), size - 1, nullptr), {"58 are given"}));
  CHECK(text == untouched);
  REQUIRE(qkjit_spec_format(&spec, text.data(), size, &size) == QKJIT_OK);
  CHECK(text == given + '\0' + '#');
}

TEST_CASE("a spec of another header's size is not written", "[c_api]") {
  qkjit_spec spec = QKJIT_SPEC_INIT;
  spec.struct_size -= 20;
  const qkjit_spec before = spec;
  CHECK(refused(qkjit_spec_parse("head_dim=8,rope_dim=8,layout=neox,dtype=bf16", &spec),
                {"spec->struct_size", "_INIT"}));
  CHECK(std::memcmp(&spec, &before, sizeof(spec)) == 0);
}

TEST_CASE("a failed parse leaves the spec alone", "[c_api]") {
  qkjit_spec spec = QKJIT_SPEC_INIT;
  const qkjit_spec before = spec;
  CHECK(refused(qkjit_spec_parse("head_dim=8,headdim=8", &spec), {"nearest is head_dim"}));
  CHECK(std::memcmp(&spec, &before, sizeof(spec)) == 0);
}

TEST_CASE("support is told with the reason and the nearest shape", "[c_api]") {
  const auto support_of = [](const char* text, qkjit_status expected) {
    const qkjit_spec spec = spec_of(text);
    qkjit_support support = QKJIT_SUPPORT_INIT;
    std::memset(support.text, '#', sizeof(support.text));
    CHECK(qkjit_supports(&spec, &support) == expected);
    REQUIRE(std::memchr(support.text, '\0', sizeof(support.text)) != nullptr);
    return support;
  };
  qkjit_support s = support_of(kText, QKJIT_OK);
  CHECK((s.dispatch.path == QKJIT_PATH_FUSED && s.dispatch.reason == QKJIT_REASON_NONE));
  CHECK(std::string(s.text) == "");
  s = support_of("head_dim=100,rope_dim=64,layout=neox,dtype=bf16", QKJIT_OK);
  CHECK((s.dispatch.path == QKJIT_PATH_GENERIC && s.dispatch.reason == QKJIT_REASON_SHAPE));
  CHECK(mentions(s.text, {"head_dim=100", "nearest is 104"}));
  s = support_of("head_dim=1025,rope_dim=64,layout=neox,dtype=bf16", QKJIT_UNSUPPORTED);
  CHECK(s.dispatch.path == QKJIT_PATH_NONE);
  CHECK(mentions(s.text, {"head_dim=1025", "1024"}));
  CHECK(std::string(s.text) == qkjit_last_error());
  s = support_of("head_dim=64,rope_dim=7,layout=neox,dtype=bf16", QKJIT_INVALID_ARGUMENT);
  CHECK(mentions(s.text, {"odd"}));
}

TEST_CASE("structs of another size are refused and left alone", "[c_api]") {
  qkjit_spec spec = spec_of(kText);
  qkjit_support support = QKJIT_SUPPORT_INIT;
  const auto runtime = make_runtime();
  qkjit_stats stats = QKJIT_STATS_INIT;
  qkjit_runtime_options options = QKJIT_RUNTIME_OPTIONS_INIT;

  support.struct_size = 4;
  CHECK(refused(qkjit_supports(&spec, &support), {"support->struct_size is 4", "_INIT"}));
  stats.struct_size -= 8, stats.cpu = 77;
  CHECK(refused(qkjit_get_stats(runtime.get(), &stats), {"stats->struct_size"}));
  CHECK(stats.cpu == 77);
  options.struct_size += 8;
  qkjit_runtime* created = runtime.get();
  CHECK(refused(qkjit_runtime_create(&options, &created), {"qkjit_runtime_options.struct_size"}));
  CHECK(created == nullptr);
  spec.struct_size = 0;
  CHECK(refused(qkjit_spec_format(&spec, nullptr, 0, nullptr), {"qkjit_spec.struct_size is 0"}));
  CHECK(refused(qkjit_supports(&spec, &support), {"struct_size"}));
  CHECK(refused(qkjit_prepare(runtime.get(), &spec, "sm_90"), {"qkjit_spec.struct_size is 0"}));
}

TEST_CASE("NULL is refused by name", "[c_api]") {
  const auto runtime = make_runtime();
  qkjit_spec spec = spec_of(kText);
  qkjit_support support = QKJIT_SUPPORT_INIT;
  qkjit_stats stats = QKJIT_STATS_INIT;
  qkjit_args args = QKJIT_ARGS_INIT;
  CHECK(refused(qkjit_spec_parse(nullptr, &spec), {"text is NULL"}));
  CHECK(refused(qkjit_spec_parse(kText, nullptr), {"spec is NULL"}));
  CHECK(refused(qkjit_spec_format(nullptr, nullptr, 0, nullptr), {"spec is NULL"}));
  CHECK(refused(qkjit_supports(nullptr, &support), {"spec is NULL"}));
  CHECK(refused(qkjit_supports(&spec, nullptr), {"support is NULL"}));
  CHECK(refused(qkjit_runtime_create(nullptr, nullptr), {"runtime is NULL"}));
  CHECK(refused(qkjit_prepare(nullptr, &spec, "sm_90"), {"runtime is NULL"}));
  CHECK(refused(qkjit_prepare(runtime.get(), nullptr, "sm_90"), {"spec is NULL"}));
  CHECK(refused(qkjit_launch(nullptr, &args, QKJIT_STREAM_HOST, nullptr), {"runtime is NULL"}));
  CHECK(
      refused(qkjit_launch(runtime.get(), nullptr, QKJIT_STREAM_HOST, nullptr), {"args is NULL"}));
  CHECK(refused(qkjit_get_stats(nullptr, &stats), {"runtime is NULL"}));
  CHECK(refused(qkjit_get_stats(runtime.get(), nullptr), {"stats is NULL"}));
  qkjit_runtime_destroy(nullptr);
}

TEST_CASE("each thread has its own last error", "[c_api][threads]") {
  qkjit_spec spec = QKJIT_SPEC_INIT;
  CHECK(refused(qkjit_spec_parse("first=1", &spec), {"'first'"}));
  std::string fresh = "#", own;
  std::thread other([&] {
    fresh = qkjit_last_error();
    qkjit_spec unused = QKJIT_SPEC_INIT;
    if (qkjit_spec_parse("second=1", &unused) != QKJIT_OK) own = qkjit_last_error();
  });
  other.join();
  CHECK(fresh == "");
  CHECK(mentions(own, {"'second'"}));
  CHECK(mentions(qkjit_last_error(), {"'first'"}));
}

TEST_CASE("every enumerator has a name", "[c_api]") {
  CHECK(qkjit_status_string(QKJIT_OK) == std::string("ok"));
  CHECK(qkjit_status_string(QKJIT_INVALID_ARGUMENT) == std::string("invalid_argument"));
  CHECK(qkjit_status_string(QKJIT_INTERNAL) == std::string("internal"));
  CHECK(qkjit_path_string(QKJIT_PATH_NONE) == std::string("none"));
  CHECK(qkjit_path_string(QKJIT_PATH_CPU) == std::string("cpu"));
  CHECK(qkjit_reason_string(QKJIT_REASON_HOST_MEMORY) == std::string("host_memory"));
  CHECK(qkjit_reason_string(QKJIT_REASON_REQUESTED) == std::string("requested"));
  CHECK(qkjit_reason_string(QKJIT_REASON_COUNT) == std::string("unknown"));
  CHECK(qkjit_reason_text(QKJIT_REASON_COUNT) == std::string("unknown"));
  CHECK(mentions(qkjit_reason_text(QKJIT_REASON_SHAPE), {"multiple of 8 up to 512"}));
  CHECK(qkjit_version() ==
        fmt::format("{}.{}.{}", QKJIT_VERSION_MAJOR, QKJIT_VERSION_MINOR, QKJIT_VERSION_PATCH));
}

TEST_CASE("prepare fills the cache, and another runtime hits it", "[c_api]") {
  const TemporaryDirectory root;
  const std::string directory = root.path() / "cache";
  qkjit_runtime_options options = QKJIT_RUNTIME_OPTIONS_INIT;
  options.cache_dir = directory.c_str();
  const qkjit_spec spec = spec_of("head_dim=8,rope_dim=8,layout=neox,dtype=bf16");
  const auto first = make_runtime(options);
  REQUIRE(qkjit_prepare(first.get(), &spec, "sm_90") == QKJIT_OK);
  REQUIRE(qkjit_prepare(first.get(), &spec, "sm_90") == QKJIT_OK);
  CHECK((stats_of(first).compiled == 1 && stats_of(first).cache_hits == 0));

  options.compile = QKJIT_COMPILE_NEVER;
  options.nvrtc = "/nowhere/libnvrtc.so";
  const auto second = make_runtime(options);
  REQUIRE(qkjit_prepare(second.get(), &spec, "sm_90") == QKJIT_OK);
  CHECK((stats_of(second).compiled == 0 && stats_of(second).cache_hits == 1));
  CHECK(qkjit_prepare(second.get(), &spec, "sm_80") == QKJIT_NOT_READY);
  CHECK(mentions(qkjit_last_error(), {"sm_80", "forbidden"}));

  options.compile = QKJIT_COMPILE_BLOCK;
  const auto third = make_runtime(options);
  CHECK(qkjit_prepare(third.get(), &spec, "sm_80") == QKJIT_NOT_READY);
  CHECK(mentions(qkjit_last_error(), {"/nowhere/libnvrtc.so", "QKJIT_NVRTC"}));
  CHECK(stats_of(third).failed == 1);
  CHECK(refused(qkjit_prepare(first.get(), &spec, "sm_1"), {"'sm_1'", "sm_90"}));
}

TEST_CASE("the host's log function hears warnings, once", "[c_api]") {
  const TemporaryDirectory root;
  std::ofstream(root.path() / "file").put('x');
  const std::string directory = root.path() / "file" / "cache";
  std::vector<std::string> warnings;
  qkjit_runtime_options options = QKJIT_RUNTIME_OPTIONS_INIT;
  options.cache_dir = directory.c_str();
  options.log = [](int level, const char* message, void* list) {
    if (level == 3) static_cast<std::vector<std::string>*>(list)->push_back(message);
  };
  options.log_user_data = &warnings;
  const auto runtime = make_runtime(options);
  for (const char* text : {"head_dim=8,rope_dim=8,layout=neox,dtype=bf16",
                           "head_dim=8,rope_dim=0,layout=neox,dtype=bf16"}) {
    const qkjit_spec spec = spec_of(text);
    CHECK(qkjit_prepare(runtime.get(), &spec, "sm_90") == QKJIT_OK);
  }
  CHECK(stats_of(runtime).compiled == 2);
  REQUIRE(warnings.size() == 1);
  CHECK(mentions(warnings[0], {"in memory", directory}));
}

TEST_CASE("a runtime that compiles nothing is idle, and its counts sum up", "[c_api]") {
  const TemporaryDirectory root;
  const std::string directory = root.path() / "cache";
  qkjit_runtime_options options = QKJIT_RUNTIME_OPTIONS_INIT;
  options.cache_dir = directory.c_str();
  options.compile = QKJIT_COMPILE_BACKGROUND;
  const auto runtime = make_runtime(options);
  CHECK(qkjit_wait_idle(runtime.get(), 0) == QKJIT_OK);
  CHECK(qkjit_wait_idle(runtime.get(), -1) == QKJIT_OK);
  CHECK(qkjit_wait_idle(runtime.get(), INT64_MAX) == QKJIT_OK);
  CHECK(refused(qkjit_wait_idle(nullptr, 0), {"runtime is NULL"}));
  // Ahead of time it is compiled here, whatever the policy.
  const qkjit_spec spec = spec_of("head_dim=8,rope_dim=8,layout=neox,dtype=bf16");
  for (int i = 0; i < 2; ++i) REQUIRE(qkjit_prepare(runtime.get(), &spec, "sm_90") == QKJIT_OK);
  const qkjit_stats stats = stats_of(runtime);
  CHECK((stats.requests == 2 && stats.misses == 1 && stats.memory_hits == 1));
  CHECK((stats.background_pending == 0 && stats.background_done == 0));
  CHECK((0 < stats.front_end_ms && stats.front_end_ms < stats.compile_ms));
  CHECK(stats.cache_read_ms > 0);
  CHECK(stats.load_ms == 0);
}
