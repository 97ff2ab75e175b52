// A Jit on a compiler that the test controls, and what it logged.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "jit/jit.hpp"
#include "tests/catch.hpp"
#include "tests/support/fake_nvrtc.hpp"
#include "tuning/default_variant.hpp"

namespace qkjit::test {

inline const Spec kSpec = {.head_dim = 128, .rope_dim = 128};
inline const Spec kOther = {.head_dim = 64, .rope_dim = 64};

/// Set options before the first use of jit().
class JitFixture {
 public:
  explicit JitFixture(std::optional<CacheDirectory> writable) { options.writable = writable; }

  Jit& jit() {
    if (jit_) return *jit_;
    options.open_compiler = [this]() -> Result<std::shared_ptr<const Nvrtc>> {
      ++opened;
      if (!nvrtc) return fail(Code::not_ready, "there is no NVRTC");
      return nvrtc;
    };
    const auto warn = [](int level, const char* message, void* list) {
      if (level >= 3) static_cast<std::vector<std::string>*>(list)->push_back(message);
    };
    return jit_.emplace(options, *Log::create(warn, &warnings, ""));
  }
  KernelResult obtain(const Spec& spec = kSpec) {
    return jit().obtain(spec, default_variant(spec), "sm_90");
  }
  KernelResult find(const Spec& spec = kSpec) {
    return jit().find(spec, default_variant(spec), "sm_90");
  }
  bool is_at_hand() { return jit().is_at_hand(kSpec, default_variant(kSpec), "sm_90"); }

  JitOptions options;
  std::shared_ptr<FakeNvrtc> nvrtc = std::make_shared<FakeNvrtc>();
  std::atomic<int> opened{0};
  std::vector<std::string> warnings;

 private:
  std::optional<Jit> jit_;
};

/// Fills `directory` with kSpec's kernel; gives its file.
inline std::filesystem::path fill(const CacheDirectory& directory) {
  REQUIRE(JitFixture(directory).obtain().has_value());
  REQUIRE(directory.list().size() == 1);
  return directory.list().front().path;
}

}  // namespace qkjit::test
