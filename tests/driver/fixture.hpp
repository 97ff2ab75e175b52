// A runtime on the fake driver, with a compiler that the test controls, and calls for it.
#pragma once

#include <fstream>
#include <optional>

#include "runtime.hpp"
#include "spec/text.hpp"
#include "spec/variant.hpp"
#include "tests/driver/fake_cuda.hpp"
#include "tests/support/fake_nvrtc.hpp"
#include "tests/unit/fake_args.hpp"
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

/// A call of kSpec in place, on addresses that belong to nobody. Heads lie `head_stride` apart.
inline qkjit_args call_of(std::int64_t tokens, std::int64_t head_stride = 128) {
  qkjit_args args = QKJIT_ARGS_INIT;
  args.spec = to_c(kSpec);
  args.q = qkjit_tensor_3d(address(1ull << 40), QKJIT_BF16, tokens, 24, 128);
  args.q.strides[0] = 24 * head_stride, args.q.strides[1] = head_stride;
  args.k = args.q;
  args.k.data = address(1ull << 41);
  args.q_weight = qkjit_tensor_1d(address(0x500000), QKJIT_BF16, 128);
  args.k_weight = qkjit_tensor_1d(address(0x600000), QKJIT_BF16, 128);
  args.cos_sin_cache = qkjit_tensor_2d(address(0x700000), QKJIT_FP32, tokens, 128);
  return args;
}
inline qkjit_args small_call() { return call_of(16); }
inline qkjit_args large_call() { return call_of(16384); }
/// One that only the first kernel, or the generic one, can serve.
inline qkjit_args large_call_with_gaps() { return call_of(16384, 256); }
inline qkjit_args misaligned_call() {
  qkjit_args args = small_call();
  args.q.data = address((1ull << 40) + 2);
  return args;
}

}  // namespace qkjit::test
