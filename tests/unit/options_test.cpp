// A runtime's settings: options over environment over defaults.
#include "options.hpp"

#include <stdlib.h>

#include "tests/unit/mentions.hpp"
#include "tests/unit/temporary_directory.hpp"

using namespace qkjit;

namespace {

/// The environment without any variable that the library reads; as it was, afterwards.
class CleanEnvironment {
 public:
  CleanEnvironment() {
    for (const char* name : kNames) {
      const char* value = getenv(name);
      values_.push_back(value ? std::optional<std::string>(value) : std::nullopt);
      unsetenv(name);
    }
  }
  ~CleanEnvironment() {
    for (std::size_t i = 0; i < values_.size(); ++i) {
      unsetenv(kNames[i]);
      if (values_[i]) setenv(kNames[i], values_[i]->c_str(), 1);
    }
  }

 private:
  static constexpr const char* kNames[] = {"QKJIT_CACHE_DIR",
                                           "QKJIT_CACHE_PATH",
                                           "QKJIT_NVRTC",
                                           "QKJIT_COMPILE",
                                           "QKJIT_CACHE",
                                           "QKJIT_CACHE_MAX_SIZE",
                                           "QKJIT_CACHE_PUBLIC_KEY",
                                           "QKJIT_LOG",
                                           "XDG_CACHE_HOME",
                                           "HOME"};
  std::vector<std::optional<std::string>> values_;
};

/// No options, and silent.
qkjit_runtime_options defaults() {
  qkjit_runtime_options options = QKJIT_RUNTIME_OPTIONS_INIT;
  options.log = [](int, const char*, void*) {};
  return options;
}

std::string cache_of(const qkjit_runtime_options& options) {
  const auto resolved = resolve_options(options);
  REQUIRE(resolved.has_value());
  return resolved->jit.writable ? resolved->jit.writable->path().string() : "";
}

}  // namespace

TEST_CASE("the cache directory comes from the first that names one", "[options]") {
  const CleanEnvironment clean;
  qkjit_runtime_options options = defaults();
  std::vector<std::string> warnings;
  options.log = [](int, const char* message, void* list) {
    static_cast<std::vector<std::string>*>(list)->push_back(message);
  };
  options.log_user_data = &warnings;
  CHECK(cache_of(options) == "");
  REQUIRE(warnings.size() == 1);
  CHECK(mentions(warnings[0], {"in memory", "QKJIT_CACHE_DIR"}));

  setenv("HOME", "/home/a", 1);
  CHECK(cache_of(options) == "/home/a/.cache/qkjit");
  setenv("XDG_CACHE_HOME", "/xdg", 1);
  CHECK(cache_of(options) == "/xdg/qkjit");
  setenv("QKJIT_CACHE_DIR", "/own", 1);
  CHECK(cache_of(options) == "/own");
  options.cache_dir = "/given";
  CHECK(cache_of(options) == "/given");
  options.cache_dir = "";
  CHECK(cache_of(options) == "/own");
  CHECK(warnings.size() == 1);
}

TEST_CASE("a relative cache directory stays where it was when the host moves", "[options]") {
  const CleanEnvironment clean;
  qkjit_runtime_options options = defaults();
  options.cache_dir = "below";
  CHECK(cache_of(options) == (std::filesystem::current_path() / "below").string());
}

TEST_CASE("read-only layers are a list without empty parts", "[options]") {
  const CleanEnvironment clean;
  qkjit_runtime_options options = defaults();
  setenv("QKJIT_CACHE_PATH", "/a::/b:", 1);
  const auto from_environment = resolve_options(options);
  REQUIRE(from_environment.has_value());
  REQUIRE(from_environment->jit.read_only.size() == 2);
  CHECK(from_environment->jit.read_only[0].path().string() == "/a");
  CHECK(from_environment->jit.read_only[1].path().string() == "/b");
  options.cache_path = "/c";
  const auto given = resolve_options(options);
  REQUIRE(given->jit.read_only.size() == 1);
  CHECK(given->jit.read_only[0].path().string() == "/c");
}

TEST_CASE("the public key is the option's, else the environment's, and of the path alone",
          "[options][bundle]") {
  const CleanEnvironment clean;
  const std::string one = "ed25519:" + std::string(64, '1'),
                    two = "ed25519:" + std::string(64, '2');
  qkjit_runtime_options options = defaults();
  setenv("QKJIT_CACHE_DIR", "/own", 1);
  setenv("QKJIT_CACHE_PATH", "/a:/b", 1);
  setenv("QKJIT_CACHE", "ro", 1);
  const auto needs = [&] {
    const auto resolved = resolve_options(options);
    std::string text;
    for (const ReadOnlyDirectory& layer : resolved->jit.read_only) {
      const bool is_told = layer.needs_signature() && !layer.check_usable();
      const std::string why = is_told ? layer.check_usable().error().message : "";
      text += why.find(one) != std::string::npos   ? " one"
              : why.find(two) != std::string::npos ? " two"
                                                   : " none";
    }
    return text;
  };
  CHECK(needs() == " none none none");
  setenv("QKJIT_CACHE_PUBLIC_KEY", (one + "\n").c_str(), 1);
  CHECK(needs() == " none one one");
  options.cache_public_key = two.c_str();
  CHECK(needs() == " none two two");
  options.cache_public_key = "";
  CHECK(needs() == " none one one");
  options.cache_public_key = "key.pub";
  CHECK(fails(resolve_options(options), Code::invalid_argument, {"cache_public_key", "ed25519:"}));
  options.cache_public_key = nullptr;
  setenv("QKJIT_CACHE_PUBLIC_KEY", "/etc/key.pub", 1);
  CHECK(fails(resolve_options(options), Code::invalid_argument, {"QKJIT_CACHE_PUBLIC_KEY"}));
}

TEST_CASE("the policy is the option's, else the environment's, else to compile", "[options]") {
  const CleanEnvironment clean;
  qkjit_runtime_options options = defaults();
  CHECK(resolve_options(options)->jit.compile == CompilePolicy::block);
  setenv("QKJIT_COMPILE", "background", 1);
  CHECK(resolve_options(options)->jit.compile == CompilePolicy::background);
  setenv("QKJIT_COMPILE", "never", 1);
  CHECK(resolve_options(options)->jit.compile == CompilePolicy::never);
  options.compile = QKJIT_COMPILE_BLOCK;
  CHECK(resolve_options(options)->jit.compile == CompilePolicy::block);
  options.compile = QKJIT_COMPILE_NEVER;
  setenv("QKJIT_COMPILE", "block", 1);
  CHECK(resolve_options(options)->jit.compile == CompilePolicy::never);
  options.compile = QKJIT_COMPILE_BACKGROUND;
  CHECK(resolve_options(options)->jit.compile == CompilePolicy::background);
}

TEST_CASE("in the background two threads compile, or as many as are asked for", "[options]") {
  const CleanEnvironment clean;
  qkjit_runtime_options options = defaults();
  CHECK(resolve_options(options)->jit.background_threads ==
        std::clamp(std::thread::hardware_concurrency(), 1u, 2u));
  options.compile_threads = 5;
  CHECK(resolve_options(options)->jit.background_threads == 5);
  options.compile_threads = -1;
  CHECK(fails(resolve_options(options), Code::invalid_argument, {"compile_threads is -1"}));
}

TEST_CASE("the compiler is the option's, else the environment's", "[options]") {
  const CleanEnvironment clean;
  qkjit_runtime_options options = defaults();
  setenv("QKJIT_NVRTC", "/environment/libnvrtc.so", 1);
  CHECK(fails(resolve_options(options)->jit.open_compiler(), Code::not_ready, {"/environment/"}));
  options.nvrtc = "/given/libnvrtc.so";
  CHECK(fails(resolve_options(options)->jit.open_compiler(), Code::not_ready, {"/given/"}));
}

TEST_CASE("settings that mean nothing are refused", "[options]") {
  const CleanEnvironment clean;
  const Code invalid = Code::invalid_argument;
  qkjit_runtime_options options = defaults();
  options.cpu_threads = -1;
  CHECK(fails(resolve_options(options), invalid, {"cpu_threads is -1"}));
  options = defaults();
  options.compile = static_cast<qkjit_compile_policy>(7);
  CHECK(fails(resolve_options(options), invalid, {"policy 7", "QKJIT_COMPILE_BLOCK, _BACKGROUND"}));
  setenv("QKJIT_COMPILE", "sometimes", 1);
  CHECK(fails(resolve_options(defaults()), invalid,
              {"QKJIT_COMPILE=sometimes", "block, background or never"}));
  unsetenv("QKJIT_COMPILE");
  setenv("QKJIT_LOG", "loud", 1);
  CHECK(fails(resolve_options(defaults()), invalid, {"QKJIT_LOG=loud", "warning"}));
  for (const char* level : {"trace", "debug", "info", "warning", "error", "off"}) {
    setenv("QKJIT_LOG", level, 1);
    CHECK(resolve_options(defaults()).has_value());
  }
}

TEST_CASE("the cache's mode says which directories are read and written", "[options]") {
  const CleanEnvironment clean;
  qkjit_runtime_options options = defaults();
  setenv("QKJIT_CACHE_DIR", "/own", 1);
  setenv("QKJIT_CACHE_PATH", "/shipped", 1);
  const auto directories = [&] {
    const auto resolved = resolve_options(options);
    std::string text;
    if (const auto& own = resolved->jit.writable) text = fmt::format("rw {}", own->name());
    for (const ReadOnlyDirectory& layer : resolved->jit.read_only) {
      text += fmt::format(" {}", layer.name());
    }
    return text;
  };
  CHECK(directories() == "rw /own /shipped");
  setenv("QKJIT_CACHE", "ro", 1);
  CHECK(directories() == " /own /shipped");
  setenv("QKJIT_CACHE", "off", 1);
  CHECK(directories() == "");
  options.cache = QKJIT_CACHE_READ_WRITE;
  CHECK(directories() == "rw /own /shipped");
  options.cache = QKJIT_CACHE_DEFAULT;
  setenv("QKJIT_CACHE", "sometimes", 1);
  CHECK(fails(resolve_options(options), Code::invalid_argument, {"sometimes", "rw, ro or off"}));
  options.cache = static_cast<qkjit_cache_mode>(4);
  CHECK(fails(resolve_options(options), Code::invalid_argument, {"cache mode 4"}));
}

TEST_CASE("the cache's limit is the option's, else the environment's, else 512 MiB", "[options]") {
  const CleanEnvironment clean;
  qkjit_runtime_options options = defaults();
  options.cache_dir = "/own";
  const auto limit = [&] { return resolve_options(options)->jit.writable->max_bytes(); };
  CHECK(limit() == 512u << 20);
  setenv("QKJIT_CACHE_MAX_SIZE", "2G", 1);
  CHECK(limit() == std::uint64_t{2} << 30);
  options.cache_max_bytes = 4096;
  CHECK(limit() == 4096);
  options.cache_max_bytes = 0;
  for (const char* bad : {"0", "-1", "x", "1X", "1MB", "99999999999T", "M"}) {
    setenv("QKJIT_CACHE_MAX_SIZE", bad, 1);
    CHECK(fails(resolve_options(options), Code::invalid_argument, {"QKJIT_CACHE_MAX_SIZE", bad}));
  }
  CHECK(parse_size("4096") == 4096u);
  CHECK(parse_size("3K") == 3072u);
  CHECK(parse_size("unlimited") == kNoSizeLimit);
}
