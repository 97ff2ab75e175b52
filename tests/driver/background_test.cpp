// Kernels that are compiled while another one serves.
#include <latch>
#include <thread>

#include "codegen/source.hpp"
#include "jit/metadata.hpp"
#include "tests/catch.hpp"
#include "tests/driver/fixture.hpp"
#include "tests/unit/mentions.hpp"

using namespace qkjit;
using namespace qkjit::test;
using namespace std::chrono_literals;

namespace {

FakeCuda& cuda() { return fake_cuda(); }
unsigned served_by() { return cuda().last_launch().threads; }

/// A runtime that compiles in the background, each compile as long as the test likes.
struct Background : DriverFixture {
  Background() {
    options.compile = CompilePolicy::background;
    nvrtc->inside = [this] {
      ++begun;
      while (held) std::this_thread::sleep_for(1ms);
    };
  }
  Background(const Background&) = delete;
  Background& operator=(const Background&) = delete;
  ~Background() {
    held = false;
    end();
  }

  void finish() {
    held = false;
    REQUIRE(runtime().wait_idle(60s).has_value());
  }
  std::uint64_t count(Reason reason) {
    return runtime().stats().reasons[static_cast<std::size_t>(reason)];
  }

  std::atomic<bool> held{true};
  std::atomic<int> begun{0};
};

/// The call elsewhere, as another stream's.
qkjit_args moved(qkjit_args args) {
  for (qkjit_tensor* t : {&args.q, &args.k}) t->data = static_cast<char*>(t->data) + (1ull << 35);
  return args;
}

std::string launch_dual(DriverFixture& f) {
  const auto done = f.runtime().launch_dual(small_call(), moved(small_call()), nullptr);
  if (!done) return done.error().message;
  return fmt::format("{} ({})", name_of(done->path), name_of(done->reason));
}

void store_stale_kernel(const CacheDirectory& directory) {
  const Key key = kernel_key(kSpec, kFirstVariant, "sm_90");
  Kernel kernel;
  kernel.cubin = "stale cubin";
  kernel.toolchain = "nvrtc-13.9";  // the fake compiler's
  REQUIRE(directory.store(key, to_entry(kernel, key.record())).has_value());
}

}  // namespace

TEST_CASE("the generic kernel serves while the fused one is compiled, and then that one",
          "[driver][background][threads]") {
  Background f;
  for (int i = 0; i < 3; ++i) CHECK(f.launch(small_call()) == "generic (compile_pending)");
  CHECK(f.launch(large_call()) == "generic (compile_pending)");
  CHECK(f.count(Reason::compile_pending) == 4);
  REQUIRE(f.warnings.size() == 1);
  CHECK(mentions(f.warnings[0], {"head_dim=128", "compile_pending", "background"}));
  CHECK(f.runtime().stats().background_pending == 2);  // the kernels for small and large calls
  CHECK(f.runtime().stats().background_done == 0);
  CHECK(fails(f.runtime().wait_idle(1ms), Code::not_ready, {"2 kernels", "1 ms"}));
  f.finish();
  const Stats stats = f.runtime().stats();
  CHECK(stats.background_pending == 0);
  CHECK(stats.background_done == 2);
  CHECK(stats.compiled == 2);
  CHECK(cuda().loads == 1);  // the generic one: the others are loaded by who needs them
  CHECK(f.launch(small_call()) == "fused (none)");
  CHECK(served_by() == kFirst);
  CHECK(f.launch(large_call()) == "fused (none)");
  CHECK(served_by() == kSecond);
  CHECK(f.launch(small_call()) == "fused (none)");  // the thread knows the call now
  CHECK(f.nvrtc->compiles == 2);
  CHECK(f.count(Reason::compile_pending) == 4);
}

TEST_CASE("a kernel for other sizes serves until the best one is there, and is not kept for it",
          "[driver][background][threads]") {
  Background f;
  f.options.background_threads = 1;
  std::atomic<int> may_run{1};
  f.nvrtc->inside = [&] {
    while (may_run <= 0) std::this_thread::sleep_for(1ms);
    --may_run;
  };
  f.launch(small_call());
  while (f.runtime().stats().background_done < 1) std::this_thread::sleep_for(1ms);
  for (int i = 0; i < 2; ++i) {
    CHECK(f.launch(large_call()) == "fused (none)");
    CHECK(served_by() == kFirst);
  }
  may_run = 1;
  REQUIRE(f.runtime().wait_idle(60s).has_value());
  CHECK(f.launch(large_call()) == "fused (none)");
  CHECK(served_by() == kSecond);
}

TEST_CASE("what is cached is read at once", "[driver][background][threads]") {
  const TemporaryDirectory root;
  {
    DriverFixture fills;
    fills.options.writable = CacheDirectory(root.path());
    fills.launch(small_call());
  }
  Background f;
  f.options.writable = CacheDirectory(root.path());
  CHECK(f.launch(small_call()) == "fused (none)");
  CHECK(f.launch(large_call()) == "fused (none)");
  CHECK(f.nvrtc->compiles == 0);
  CHECK(f.runtime().stats().background_done == 0);
  CHECK(f.runtime().stats().writable_hits == 2);
}

TEST_CASE("a cached entry that turns out to be none is compiled in the background",
          "[driver][background][threads]") {
  const TemporaryDirectory root;
  const CacheDirectory directory(root.path());
  store_stale_kernel(directory);
  Background f;
  f.options.writable = directory;
  SECTION("since it is damaged") { std::ofstream(directory.list()[0].path) << "damaged"; }
  SECTION("since the driver refuses it") { cuda().refused = "stale"; }
  CHECK(f.launch(small_call()) == "generic (compile_pending)");
  CHECK(f.launch(small_call()) == "generic (compile_pending)");
  f.finish();
  CHECK(f.launch(small_call()) == "fused (none)");
  CHECK(cuda().last_launch().code == "cubin for sm_90");
  CHECK(f.nvrtc->compiles == 2);
  CHECK(f.runtime().stats().cache_rejected == 1);
}

TEST_CASE("prepare() waits, whatever is queued", "[driver][background][threads]") {
  Background f;
  f.options.background_threads = 1;
  f.launch(small_call());
  while (f.begun < 1) std::this_thread::sleep_for(1ms);
  std::jthread opener([&] {
    std::this_thread::sleep_for(50ms);
    f.held = false;
  });
  REQUIRE(f.runtime().prepare(kSpec).has_value());
  cuda().capturing = true;
  CHECK(f.launch(small_call()) == "fused (none)");
  CHECK(f.launch(large_call()) == "fused (none)");
  CHECK(f.nvrtc->compiles == 2);
  cuda().capturing = false;
}

TEST_CASE("prepare() compiles without the background", "[driver][background]") {
  Background f;
  f.held = false;
  REQUIRE(f.runtime().prepare(kSpec).has_value());
  CHECK(f.runtime().stats().background_done == 0);
  CHECK(f.launch(large_call()) == "fused (none)");
}

TEST_CASE("a compile that fails in the background is remembered", "[driver][background][threads]") {
  Background f;
  f.nvrtc->refuse = true;
  CHECK(f.launch(small_call()) == "generic (compile_pending)");
  f.finish();
  for (int i = 0; i < 3; ++i) CHECK(f.launch(small_call()) == "generic (compile_failed)");
  CHECK(fails(f.runtime().prepare(kSpec), Code::compile_failed, {"log of compile"}));
  CHECK(f.launch(large_call()) == "generic (compile_failed)");
  CHECK(f.nvrtc->compiles == 3);  // what is built in was tried too
  CHECK(f.runtime().stats().failed == 3);
  CHECK(f.runtime().stats().background_pending == 0);
}

TEST_CASE("where nothing tuned can be compiled, what is built in may be cached",
          "[driver][background][threads]") {
  const TemporaryDirectory root;
  {
    DriverFixture fills;
    fills.options.writable = CacheDirectory(root.path());
    REQUIRE(fills.runtime().prepare_for(kSpec, "sm_90").has_value());
  }
  Background f;
  f.options.writable = CacheDirectory(root.path());
  f.nvrtc->refuse = true;
  CHECK(f.launch(small_call()) == "generic (compile_pending)");
  f.finish();
  CHECK(f.launch(small_call()) == "fused (none)");
}

TEST_CASE("strict: a kernel that is not there yet is an error", "[driver][background][threads]") {
  Background f;
  f.strict = true;
  CHECK(mentions(f.launch(small_call()), {"compile_pending", "a fallback is refused"}));
  CHECK(mentions(launch_dual(f), {"compile_pending", "no common kernel"}));
  CHECK(cuda().launches.empty());
  f.finish();
  CHECK(f.launch(small_call()) == "fused (none)");
  CHECK(launch_dual(f) == "fused (none)");
}

TEST_CASE("path=fused: a kernel that is not there yet is an error", "[driver][background]") {
  Background f;
  qkjit_args fused = small_call();
  fused.path = QKJIT_PATH_FUSED;
  CHECK(mentions(f.launch(fused), {"compile_pending"}));
}

TEST_CASE("during a capture nothing is compiled or loaded", "[driver][background][threads]") {
  Background f;
  cuda().capturing = true;
  CHECK(mentions(f.launch(small_call()), {"capturing", "qkjit_prepare"}));
  CHECK(f.runtime().stats().background_pending == 0);
  cuda().capturing = false;
  CHECK(f.launch(small_call()) == "generic (compile_pending)");
  cuda().capturing = true;
  CHECK(f.launch(small_call()) == "generic (compile_pending)");
  f.finish();
  const int loads = cuda().loads;
  CHECK(f.launch(small_call()) == "generic (stream_capturing)");
  CHECK(cuda().loads == loads);
  cuda().capturing = false;
  CHECK(f.launch(small_call()) == "fused (none)");
}

TEST_CASE("two streams take two launches until their kernel is there",
          "[driver][background][threads]") {
  Background f;
  CHECK(launch_dual(f) == "generic (compile_pending)");
  CHECK(cuda().launches.size() == 2);
  CHECK(f.runtime().stats().background_pending == 2);  // none of those for one stream
  f.finish();
  CHECK(launch_dual(f) == "fused (none)");
  CHECK(cuda().launches.size() == 3);
}

TEST_CASE("while their kernel is made, streams take kernels of their own that are there",
          "[driver][background][threads]") {
  Background f;
  f.held = false;
  REQUIRE(f.runtime().prepare(kSpec).has_value());
  f.held = true;
  CHECK(launch_dual(f) == "fused (compile_pending)");
  CHECK(cuda().launches.size() == 2);
}

TEST_CASE("launches go on while kernels are compiled, under every policy",
          "[driver][background][threads]") {
  const bool in_background = GENERATE(true, false);
  Background f;
  f.held = false;
  if (!in_background) f.options.compile = CompilePolicy::block;
  REQUIRE(f.runtime().prepare(kSpec).has_value());
  f.held = true;
  qkjit_args other = small_call();
  other.spec.rounding = QKJIT_ROUNDING_SPLIT;
  std::jthread compiles([&] { static_cast<void>(f.runtime().launch(other, nullptr)); });
  while (f.begun < 3) std::this_thread::sleep_for(1ms);
  for (int i = 0; i < 3; ++i) CHECK(f.launch(small_call()) == "fused (none)");
  qkjit_args again = small_call();
  again.eps = 1e-5f;  // no thread knows this one
  CHECK(f.launch(again) == "fused (none)");
  f.held = false;
}

TEST_CASE("of 8 threads that launch at once, all are served, and each kernel is compiled once",
          "[driver][background][threads]") {
  Background f;
  f.held = false;
  Runtime& runtime = f.runtime();
  std::atomic<int> wrong{0};
  {
    std::latch start(8);
    std::vector<std::jthread> threads;
    for (int i = 0; i < 8; ++i) {
      threads.emplace_back([&] {
        start.arrive_and_wait();
        for (int round = 0; round < 200; ++round) {
          const auto done = runtime.launch(round % 2 ? small_call() : large_call(), nullptr);
          const bool fused = done && *done == Dispatch{Path::fused, Reason::none};
          const bool pending = done && *done == Dispatch{Path::generic, Reason::compile_pending};
          if (!fused && !pending) ++wrong;
        }
      });
    }
  }
  REQUIRE(runtime.wait_idle(60s).has_value());
  CHECK(wrong == 0);
  CHECK(f.nvrtc->compiles == 2);
  CHECK(f.launch(large_call()) == "fused (none)");
  CHECK(served_by() == kSecond);
  CHECK(cuda().loads == 3);
  const Stats stats = runtime.stats();
  CHECK(stats.requests == stats.memory_hits + stats.cache_hits + stats.misses);
  CHECK(stats.background_done == 2);
}

TEST_CASE("the end of a runtime drops what is queued and publishes what is being compiled",
          "[driver][background][threads]") {
  const TemporaryDirectory root;
  const CacheDirectory directory(root.path());
  std::jthread opener;
  {
    Background f;
    f.options.writable = directory;
    f.options.background_threads = 1;
    f.launch(small_call());
    while (f.begun < 1) std::this_thread::sleep_for(1ms);
    opener = std::jthread([&f] {
      std::this_thread::sleep_for(50ms);
      f.held = false;
    });
    f.end();
    CHECK(f.nvrtc->compiles == 1);
    opener.join();
  }
  REQUIRE(directory.list().size() == 1);
  CHECK(directory.examine(directory.list()[0].path).found == Found::entry);
}
