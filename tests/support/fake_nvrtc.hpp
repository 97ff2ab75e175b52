// A compiler that the test controls.
#pragma once

#include <atomic>
#include <functional>
#include <string>
#include <vector>

#include "compile/nvrtc.hpp"

namespace qkjit::test {

/// Its cubins are text. Set its fields before it is used.
class FakeNvrtc final : public Nvrtc {
 public:
  const std::string& path() const override { return file; }
  std::string version() const override { return "13.9"; }
  std::vector<std::string> targets() const override { return {"sm_90"}; }
  Result<Compiled> compile(const CompileRequest& request) const override {
    ++compiles;
    if (inside) inside();
    if (refuse) return fail(Code::compile_failed, "log of compile {}", compiles);
    return Compiled{
        "cubin for " + request.target, "ptx of " + request.file, "log", {{"k", 32, 1, 2, 3, 4}}};
  }

  std::function<void()> inside;  ///< runs in every compile
  bool refuse = false;
  mutable std::atomic<int> compiles{0};
  std::string file = "/fake";  ///< whose build id is the toolchain
};

}  // namespace qkjit::test
