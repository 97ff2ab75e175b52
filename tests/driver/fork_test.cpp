// Launches in a forked child that inherited a runtime.
#include <thread>

#include "tests/catch.hpp"
#include "tests/driver/fixture.hpp"
#include "tests/support/child.hpp"

using namespace qkjit;
using namespace qkjit::test;
using namespace std::chrono_literals;

TEST_CASE("a forked child has nothing loaded and nothing queued: it begins anew",
          "[driver][background][fork]") {
  DriverFixture f;
  f.options.compile = CompilePolicy::background;
  REQUIRE(f.runtime().prepare(kSpec).has_value());
  REQUIRE(f.launch(small_call()) == "fused (none)");
  CHECK(well_in_child([&] {
    const int loads = fake_cuda().loads;
    // Its code is in memory, so that it is only loaded: as the child's own.
    return f.launch(small_call()) == "fused (none)" && fake_cuda().loads == loads + 1;
  }));
}

TEST_CASE("a child forked before anything is compiled compiles in a background of its own",
          "[driver][background][fork]") {
  std::atomic<bool> may_end{false};
  DriverFixture f;
  f.options.compile = CompilePolicy::background;
  f.nvrtc->inside = [&] {
    while (!may_end) std::this_thread::sleep_for(1ms);
  };
  f.runtime();
  CHECK(well_in_child([&] {
    const bool is_pending = f.launch(small_call()) == "generic (compile_pending)";
    may_end = true;
    return is_pending && f.runtime().wait_idle(20s).has_value() &&
           f.launch(small_call()) == "fused (none)";
  }));
  CHECK(f.nvrtc->compiles == 0);
}

TEST_CASE("a child forked in the middle of a background compile is served, and never waits",
          "[driver][background][fork]") {
  std::atomic<bool> may_end{false}, is_inside{false};
  DriverFixture f;
  f.options.compile = CompilePolicy::background;
  f.nvrtc->inside = [&] {
    is_inside = true;
    while (!may_end) std::this_thread::sleep_for(1ms);
  };
  CHECK(f.launch(small_call()) == "generic (compile_pending)");
  while (!is_inside) std::this_thread::sleep_for(1ms);
  CHECK(well_in_child([&] {
    // The child's own thread may find out at once that it may not compile.
    return f.runtime().stats().background_pending == 0 &&
           f.launch(small_call()).starts_with("generic (compile_") &&
           f.runtime().wait_idle(20s).has_value() &&
           f.launch(small_call()) == "generic (compile_forbidden)";
  }));
  may_end = true;
  REQUIRE(f.runtime().wait_idle(20s).has_value());
  CHECK(f.launch(small_call()) == "fused (none)");
  f.end();
}
