// Which kernels are loaded when, and what serves where the best one is not loaded.
#include <barrier>
#include <thread>

#include "tests/catch.hpp"
#include "tests/driver/fixture.hpp"
#include "tests/unit/mentions.hpp"

using namespace qkjit;
using namespace qkjit::test;

namespace {

FakeCuda& cuda() { return fake_cuda(); }
unsigned served_by() { return cuda().last_launch().threads; }

}  // namespace

TEST_CASE("a call loads the kernel that it needs and no other", "[driver]") {
  DriverFixture f;
  CHECK(f.launch(small_call()) == "fused (none)");
  CHECK(cuda().loads == 1);
  CHECK(served_by() == kFirst);
  CHECK(f.runtime().stats().compiled == 2);  // side by side, so the second is at hand
  CHECK(f.launch(large_call()) == "fused (none)");
  CHECK(cuda().loads == 2);
  CHECK(served_by() == kSecond);
  CHECK(f.launch(large_call_with_gaps()) == "fused (none)");
  CHECK(served_by() == kFirst);
  CHECK(f.launch(small_call()) == "fused (none)");
  CHECK(served_by() == kFirst);
  CHECK(cuda().loads == 2);
}

TEST_CASE("of what is cached, a call reads the kernel that it needs and no other", "[driver]") {
  const TemporaryDirectory root;
  for (const std::uint64_t compiled : {2, 0}) {
    DriverFixture f;
    f.options.writable = CacheDirectory(root.path());
    f.launch(small_call());
    CHECK(f.runtime().stats().compiled == compiled);
    CHECK(f.runtime().stats().cache_hits == (compiled ? 0 : 1));
    CHECK(f.launch(large_call()) == "fused (none)");
    CHECK(served_by() == kSecond);
    CHECK(f.runtime().stats().cache_hits == (compiled ? 0 : 2));
  }
}

TEST_CASE("prepare() loads all that a capture may need, the generic kernel too", "[driver]") {
  DriverFixture f;
  REQUIRE(f.runtime().prepare(kSpec).has_value());
  CHECK(cuda().loads == 3);
  cuda().capturing = true;
  CHECK(f.launch(small_call()) == "fused (none)");
  CHECK(served_by() == kFirst);
  CHECK(f.launch(large_call()) == "fused (none)");
  CHECK(served_by() == kSecond);
  CHECK(f.launch(misaligned_call()) == "generic (alignment)");
  qkjit_args requested = small_call();
  requested.path = QKJIT_PATH_GENERIC;
  CHECK(f.launch(requested) == "generic (requested)");
  CHECK(cuda().loads == 3);
}

TEST_CASE("prepare() without a fused kernel still leaves the generic one for captures",
          "[driver]") {
  DriverFixture f;
  f.options.compile = CompilePolicy::never;
  CHECK(fails(f.runtime().prepare(kSpec), Code::not_ready, {"compiling is forbidden"}));
  cuda().capturing = true;
  CHECK(f.launch(small_call()) == "generic (compile_forbidden)");
}

TEST_CASE("a capture takes the best kernel that is loaded, for that time only", "[driver]") {
  DriverFixture f;
  const qkjit_args small = small_call(), large = large_call();
  SECTION("a large call the first one") {
    f.launch(small);
    cuda().capturing = true;
    CHECK(f.launch(large) == "fused (none)");
    CHECK(served_by() == kFirst);
    CHECK(cuda().loads == 1);
    cuda().capturing = false;
    CHECK(f.launch(large) == "fused (none)");
    CHECK(served_by() == kSecond);
  }
  SECTION("a small call the one for large calls") {
    f.launch(large);
    cuda().capturing = true;
    CHECK(f.launch(small) == "fused (none)");
    CHECK(served_by() == kSecond);
    CHECK(mentions(f.launch(large_call_with_gaps()), {"capturing", "qkjit_prepare"}));
    cuda().capturing = false;
    CHECK(f.launch(small) == "fused (none)");
    CHECK(served_by() == kFirst);
  }
  CHECK(cuda().loads == 2);
}

TEST_CASE("a capture loads nothing, and with nothing loaded is not ready", "[driver]") {
  DriverFixture f;
  cuda().capturing = true;
  CHECK(mentions(f.launch(small_call()), {"capturing", "qkjit_prepare"}));
  CHECK(mentions(f.launch(misaligned_call()), {"capturing", "qkjit_prepare"}));
  CHECK(fails(f.runtime().prepare(kSpec), Code::not_ready, {"capture"}));
  CHECK(cuda().loads == 0);
  CHECK(f.nvrtc->compiles == 0);
  cuda().capturing = false;
  CHECK(f.launch(misaligned_call()) == "generic (alignment)");
  cuda().capturing = true;
  CHECK(f.launch(small_call()) == "generic (stream_capturing)");
  cuda().capturing = false;
  CHECK(f.launch(small_call()) == "fused (none)");
}

TEST_CASE("a load that fails for want of memory may pass, and another kernel serves meanwhile",
          "[driver]") {
  DriverFixture f;
  f.launch(small_call());
  cuda().loads_to_fail = 2;
  for (int i = 0; i < 2; ++i) {
    CHECK(f.launch(large_call()) == "fused (none)");
    CHECK(served_by() == kFirst);
  }
  CHECK(f.runtime().stats().failed == 2);
  REQUIRE(f.warnings.size() == 1);
  CHECK(mentions(f.warnings[0], {"head_dim=128", "OUT_OF_MEMORY"}));
  CHECK(f.launch(large_call()) == "fused (none)");
  CHECK(served_by() == kSecond);
}

TEST_CASE("where no kernel can be loaded the call fails, and the next one tries again",
          "[driver]") {
  DriverFixture f;
  cuda().loads_to_fail = 2;
  CHECK(mentions(f.launch(small_call()), {"cannot load", "OUT_OF_MEMORY"}));
  CHECK(f.launch(small_call()) == "fused (none)");
  CHECK(served_by() == kFirst);
}

TEST_CASE("prepare() fails without the first kernel, and not without the others", "[driver]") {
  DriverFixture f;
  REQUIRE(f.runtime().prepare({.head_dim = 68, .rope_dim = 68}).has_value());  // generic, of bf16
  cuda().loads_to_fail = 1;
  CHECK(fails(f.runtime().prepare(kSpec), Code::cuda_error, {"OUT_OF_MEMORY"}));
  f.launch(small_call());
  cuda().loads_to_fail =
      1;  // the second kernel's, which may pass: no launch shall have to try again
  CHECK(fails(f.runtime().prepare(kSpec), Code::cuda_error, {"OUT_OF_MEMORY"}));
  CHECK(f.runtime().prepare(kSpec).has_value());
  CHECK(f.launch(large_call()) == "fused (none)");
  CHECK(served_by() == kSecond);
}

TEST_CASE("of 8 first calls at once, one loads the kernel", "[driver][threads]") {
  DriverFixture f;
  Runtime& runtime = f.runtime();
  const auto race = [&](const qkjit_args& args) {
    std::barrier start(8);
    std::vector<std::jthread> threads;
    for (int i = 0; i < 8; ++i) {
      threads.emplace_back([&] {
        start.arrive_and_wait();
        static_cast<void>(runtime.launch(args, nullptr));
      });
    }
  };
  race(small_call());
  CHECK(cuda().loads == 1);
  race(large_call());
  CHECK(cuda().loads == 2);
  race(misaligned_call());
  CHECK(cuda().loads == 3);
  CHECK(cuda().launches.size() == 24);
  CHECK(runtime.stats().paths[static_cast<std::size_t>(Path::fused)] == 16);
}
