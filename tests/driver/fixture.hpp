// A runtime on the fake driver, with a compiler that the test controls, and calls for it.
#pragma once

#include <fstream>
#include <optional>

#include "runtime.hpp"
#include "spec/text.hpp"
#include "spec/variant.hpp"
#include "tests/driver/calls.hpp"
#include "tests/driver/fake_cuda.hpp"
#include "tests/support/fake_nvrtc.hpp"
#include "tests/unit/temporary_directory.hpp"
#include "tuning/table.hpp"

namespace qkjit::test {

/// Has two kernels by the fixture's tuning table: the second is for calls of 160 MiB and more,
/// without gaps.
inline const Spec kSpec = {.head_dim = 128, .rope_dim = 128, .positions = Positions::implicit};
/// Threads of a block of the two, and of the generic kernel: what tells them apart.
constexpr unsigned kFirst = 128, kSecond = 64;
constexpr Variant kFirstVariant = {.lanes = 16, .rows = 2, .threads = kFirst};
constexpr Variant kSecondVariant = {
    .lanes = 16, .rows = 4, .threads = kSecond, .staging = Staging::bulk};

/// Set `options` before the first use of runtime().
class DriverFixture {
 public:
  DriverFixture() {
    fake_cuda().reset();
    std::ofstream(tuned_.path() / tuning_file_name("Fake GPU", "sm_90")) << fmt::format(
        R"({{"schema": "{}", "device": "Fake GPU", "target": "sm_90", "specs": {{"{}": [
             {{"from_bytes": 0, "variant": "{}"}},
             {{"from_bytes": {}, "variant": "{}"}}]}}}})",
        kTuningSchema, to_text(kSpec), to_text(kFirstVariant), 160 << 20, to_text(kSecondVariant));
    options.read_only = {CacheDirectory(tuned_.path())};
  }

  Runtime& runtime() {
    if (runtime_) return *runtime_;
    options.open_compiler = [this]() -> Result<std::shared_ptr<const Nvrtc>> { return nvrtc; };
    const auto warn = [](int level, const char* message, void* list) {
      if (level >= 3) static_cast<std::vector<std::string>*>(list)->push_back(message);
    };
    return runtime_.emplace(RuntimeOptions{options, *Log::create(warn, &warnings, ""), strict, 1});
  }
  void end() { runtime_.reset(); }

  /// What served the call, as "fused (none)", or the error's message.
  std::string launch(const qkjit_args& args) {
    const auto done = runtime().launch(args, nullptr);
    if (!done) return done.error().message;
    return fmt::format("{} ({})", name_of(done->path), name_of(done->reason));
  }

  JitOptions options;
  bool strict = false;
  std::shared_ptr<FakeNvrtc> nvrtc = std::make_shared<FakeNvrtc>();
  std::vector<std::string> warnings;

 private:
  TemporaryDirectory tuned_;
  std::optional<Runtime> runtime_;
};

}  // namespace qkjit::test
