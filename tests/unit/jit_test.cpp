// Memory, cache directories and compiler in order, with a compiler that the test controls.
#include "jit/jit.hpp"

#include <barrier>
#include <chrono>
#include <fstream>
#include <stdexcept>
#include <thread>

#include "tests/unit/jit_fixture.hpp"
#include "tests/unit/mentions.hpp"
#include "tests/unit/temporary_directory.hpp"
#include "util/file.hpp"

using namespace qkjit;
using namespace qkjit::test;
namespace fs = std::filesystem;

TEST_CASE("a kernel is compiled once, then found in memory", "[jit]") {
  JitFixture f(std::nullopt);
  CHECK(f.opened == 0);
  CHECK_FALSE(f.is_at_hand());
  const auto kernel = f.obtain();
  REQUIRE(kernel.has_value());
  CHECK(f.is_at_hand());
  CHECK((*kernel)->origin == Origin::compiled);
  CHECK((*kernel)->entry == "qkjit_hd128_rd128_interleaved_bf16_int64");
  CHECK((*kernel)->compiler == "NVRTC 13.9");
  CHECK(*f.obtain() == *kernel);
  CHECK(*f.obtain(kOther) != *kernel);
  CHECK(f.jit().obtain(kSpec, default_variant(kSpec), "sm_90a")->get()->cubin ==
        "cubin for sm_90a");
  CHECK(f.opened == 1);
  CHECK(f.jit().counters().compiled == 3);
  CHECK(f.warnings.empty());
}

TEST_CASE("of 8 threads that want a kernel, one compiles it", "[jit][threads]") {
  JitFixture f(std::nullopt);
  f.nvrtc->inside = [] { std::this_thread::sleep_for(std::chrono::milliseconds(50)); };
  Jit& jit = f.jit();
  std::vector<KernelResult> kernels(8);
  {
    std::barrier start(8);
    std::vector<std::jthread> threads;
    for (KernelResult& kernel : kernels) {
      threads.emplace_back([&] {
        start.arrive_and_wait();
        kernel = jit.obtain(kSpec, default_variant(kSpec), "sm_90");
      });
    }
  }
  CHECK(f.nvrtc->compiles == 1);
  for (const KernelResult& kernel : kernels) {
    REQUIRE(kernel.has_value());
    CHECK(*kernel == *kernels[0]);
  }
}

TEST_CASE("different kernels compile at the same time", "[jit][threads]") {
  JitFixture f(std::nullopt);
  std::atomic<int> running{0}, met{0};
  f.nvrtc->inside = [&] {  // waits for the other one
    ++running;
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (running < 2 && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
    if (running == 2) ++met;
  };
  Jit& jit = f.jit();
  {
    const std::jthread other(
        [&] { static_cast<void>(jit.obtain(kOther, default_variant(kOther), "sm_90")); });
    CHECK(jit.obtain(kSpec, default_variant(kSpec), "sm_90").has_value());
  }
  CHECK(met == 2);
}

TEST_CASE("a failure is remembered with its log", "[jit]") {
  const TemporaryDirectory root;
  JitFixture f(CacheDirectory(root.path()));
  f.nvrtc->refuse = true;
  for (int i = 0; i < 2; ++i) {
    const auto kernel = f.obtain();
    REQUIRE_FALSE(kernel.has_value());
    CHECK(kernel.error().reason == Reason::compile_failed);
    CHECK(kernel.error().error.code == Code::compile_failed);
    CHECK(kernel.error().error.message == "log of compile 1");
  }
  CHECK_FALSE(f.is_at_hand());  // although it is known
  CHECK(f.jit().counters().failed == 1);
  CHECK(f.jit().counters().compiled == 0);
  CHECK(CacheDirectory(root.path()).list().empty());
}

TEST_CASE("an exception becomes an error, and is remembered", "[jit]") {
  JitFixture f(std::nullopt);
  f.nvrtc->inside = [] { throw std::runtime_error("out of paper"); };
  for (int i = 0; i < 2; ++i) {
    const auto kernel = f.obtain();
    REQUIRE_FALSE(kernel.has_value());
    CHECK(kernel.error().error.code == Code::internal);
    CHECK(kernel.error().error.message == "out of paper");
  }
  CHECK(f.nvrtc->compiles == 1);
  CHECK(f.jit().counters().failed == 1);
}

TEST_CASE("without a compiler the reason says so, and it is looked for once", "[jit]") {
  JitFixture f(std::nullopt);
  f.nvrtc = nullptr;
  for (const Spec& spec : {kSpec, kOther}) {
    const auto kernel = f.obtain(spec);
    REQUIRE_FALSE(kernel.has_value());
    CHECK(kernel.error().reason == Reason::nvrtc_missing);
    CHECK(kernel.error().error.message == "there is no NVRTC");
  }
  CHECK(f.opened == 1);
}

TEST_CASE("a second process finds the kernel and opens no compiler", "[jit]") {
  const TemporaryDirectory root;
  JitFixture first(CacheDirectory(root.path())), second(CacheDirectory(root.path()));
  const auto compiled = first.obtain();
  CHECK(second.is_at_hand());
  const auto found = second.obtain();
  REQUIRE((compiled.has_value() && found.has_value()));
  CHECK(second.opened == 0);
  CHECK(second.jit().counters().cache_hits() == 1);
  CHECK(second.jit().counters().compiled == 0);
  const Kernel &a = **compiled, &b = **found;
  CHECK(b.origin == Origin::cache);
  CHECK(std::tie(a.entry, a.target, a.cubin, a.packed_ptx, a.compiler, a.key) ==
        std::tie(b.entry, b.target, b.cubin, b.packed_ptx, b.compiler, b.key));
  CHECK(b.resources.registers == 32);
  CHECK(b.resources.spill_stores == 1);
  CHECK(b.resources.spill_loads == 2);
  CHECK(b.resources.stack == 3);
  CHECK(b.resources.shared == 4);
  CHECK(fs::exists(root.path() / (b.key + ".qkjit")));
  second.obtain(kOther);
  CHECK(second.opened == 1);
}

TEST_CASE("read-only layers are looked up and left as they are", "[jit]") {
  const TemporaryDirectory root;
  const CacheDirectory shipped(root.path() / "shipped"), own(root.path() / "own");
  const fs::path file = fill(shipped);
  const std::string before = *read_file(file, kMaxEntryBytes);
  JitFixture f(own);
  f.options.read_only = {CacheDirectory(root.path() / "missing"), shipped};
  REQUIRE(f.obtain().has_value());
  REQUIRE(f.obtain(kOther).has_value());
  CHECK(f.jit().counters().cache_hits() == 1);
  CHECK(f.jit().counters().compiled == 1);
  CHECK(own.list().size() == 2);  // what was found is copied
  CHECK(shipped.list().size() == 1);
  CHECK(*read_file(file, kMaxEntryBytes) == before);
}

TEST_CASE("a damaged entry is recompiled, counted and healed", "[jit]") {
  const TemporaryDirectory root;
  const CacheDirectory directory(root.path());
  const fs::path file = fill(directory);
  const std::string record = kernel_key(kSpec, default_variant(kSpec), "sm_90").record();
  const std::string whole = *read_file(file, kMaxEntryBytes);
  const std::string damages[] = {
      whole.substr(0, whole.size() / 2),     "",
      encode({record, "{", "cubin", "ptx"}), encode({record, "entry:1:5\n", "cubin", "ptx"}),
      encode({"x", "{}", "cubin", "ptx"}),   encode({record, decode(whole)->metadata, "", "ptx"})};
  for (const std::string& damaged : damages) {
    std::ofstream(file, std::ios::binary) << damaged;
    JitFixture f(directory);
    const auto kernel = f.obtain();
    REQUIRE(kernel.has_value());
    CHECK((*kernel)->cubin == "cubin for sm_90");
    CHECK(f.jit().counters().cache_rejected == 1);
    CHECK(f.jit().counters().compiled == 1);
    REQUIRE(f.warnings.size() == 1);
    CHECK(mentions(f.warnings[0], {"ignored", "entry"}));
    CHECK(*read_file(file, kMaxEntryBytes) == whole);
  }
}

TEST_CASE("a cached kernel that a driver refused is compiled anew once, for all", "[jit]") {
  const TemporaryDirectory root;
  fill(CacheDirectory(root.path()));
  JitFixture f(CacheDirectory(root.path()));
  const auto refused = f.obtain();
  const Error why{Code::compile_failed, "invalid image"};
  const auto reject = [&] { f.jit().reject(kSpec, default_variant(kSpec), "sm_90", why); };
  reject();
  CHECK_FALSE(f.is_at_hand());
  const auto renewed = f.obtain();
  REQUIRE((refused.has_value() && renewed.has_value()));
  CHECK(*renewed != *refused);
  CHECK((*renewed)->origin == Origin::compiled);
  reject();  // by who was slower, as it were
  CHECK(*f.obtain() == *renewed);
  CHECK(f.jit().counters().cache_rejected == 1);
  CHECK(f.jit().counters().compiled == 1);
  REQUIRE(f.warnings.size() == 1);
  CHECK(mentions(f.warnings[0], {"cache entry", "refuses", "invalid image"}));
}

TEST_CASE("a damaged entry hides no good one in a later layer", "[jit]") {
  const TemporaryDirectory root;
  const CacheDirectory shipped(root.path() / "shipped"), own(root.path() / "own");
  fill(shipped);
  std::ofstream(fill(own)) << "damaged";
  JitFixture f(own);
  f.options.read_only = {shipped};
  f.options.compile = CompilePolicy::never;
  CHECK(f.obtain().has_value());
  CHECK(f.jit().counters().cache_rejected == 1);
  CHECK(f.jit().counters().cache_hits() == 1);
}

TEST_CASE("with an unwritable cache kernels stay in memory, and it is said once", "[jit]") {
  const TemporaryDirectory root;
  std::ofstream(root.path() / "file").put('x');
  JitFixture f(CacheDirectory(root.path() / "file" / "cache"));
  const auto kernel = f.obtain();
  REQUIRE(kernel.has_value());
  CHECK(f.obtain(kOther).has_value());
  CHECK(*f.obtain() == *kernel);
  CHECK(f.nvrtc->compiles == 2);
  REQUIRE(f.warnings.size() == 1);
  CHECK(mentions(f.warnings[0], {"in memory", "not writable", root.path().string()}));
}

TEST_CASE("where compiling is forbidden, only the cache serves", "[jit]") {
  const TemporaryDirectory root;
  fill(CacheDirectory(root.path()));
  JitFixture f(CacheDirectory(root.path()));
  f.options.compile = CompilePolicy::never;
  CHECK(f.obtain().has_value());
  const auto kernel = f.obtain(kOther);
  REQUIRE_FALSE(kernel.has_value());
  CHECK(kernel.error().reason == Reason::compile_forbidden);
  CHECK(kernel.error().error.code == Code::not_ready);
  CHECK(mentions(kernel.error().error.message, {"head_dim=64", "sm_90", "precompile"}));
  CHECK(f.opened == 0);
}

TEST_CASE("find() gives what need not be made, and compiles nothing", "[jit]") {
  const TemporaryDirectory root;
  const CacheDirectory directory(root.path());
  JitFixture f(directory);
  const auto nothing = f.find();
  REQUIRE_FALSE(nothing.has_value());
  CHECK(nothing.error().reason == Reason::compile_pending);
  CHECK(mentions(nothing.error().error.message, {"head_dim=128", "sm_90", "qkjit_prepare"}));
  CHECK(f.opened == 0);
  const auto made = f.obtain();
  CHECK(*f.find() == *made);
  JitFixture second(directory);
  const auto read = second.find();
  REQUIRE(read.has_value());
  CHECK((*read)->origin == Origin::cache);
  CHECK(*second.obtain() == *read);  // it is in memory now
  CHECK(second.jit().counters().writable_hits == 1);
}

TEST_CASE("find() gives a failure that is known", "[jit]") {
  JitFixture f(std::nullopt);
  f.nvrtc->refuse = true;
  f.obtain();
  REQUIRE_FALSE(f.find().has_value());
  CHECK(f.find().error().reason == Reason::compile_failed);
  CHECK(f.nvrtc->compiles == 1);
}

TEST_CASE("a damaged entry that find() meets is counted and told once", "[jit]") {
  const TemporaryDirectory root;
  const CacheDirectory shipped(root.path());
  std::ofstream(fill(shipped)) << "damaged";
  JitFixture f(std::nullopt);
  f.options.read_only = {shipped};
  CHECK_FALSE(f.find().has_value());
  CHECK(f.obtain().has_value());
  CHECK(f.jit().counters().cache_rejected == 1);
  CHECK(f.warnings.size() == 1);
}

TEST_CASE("a kernel can be looked up while another is compiled", "[jit][threads]") {
  JitFixture f(std::nullopt);
  const auto known = f.obtain(kOther);
  std::atomic<bool> is_compiling{false}, may_end{false};
  f.nvrtc->inside = [&] {
    is_compiling = true;
    while (!may_end) std::this_thread::yield();
  };
  Jit& jit = f.jit();
  std::jthread compiler(
      [&] { static_cast<void>(jit.obtain(kSpec, default_variant(kSpec), "sm_90")); });
  while (!is_compiling) std::this_thread::yield();
  CHECK(*f.obtain(kOther) == *known);  // would never return if the compile held a lock
  CHECK(f.find().error().reason == Reason::compile_pending);
  CHECK_FALSE(f.is_at_hand());
  may_end = true;
  compiler.join();
  CHECK(f.find().has_value());
}

TEST_CASE("each request is counted once, as what it came to", "[jit][threads]") {
  const TemporaryDirectory root;
  const CacheDirectory own(root.path() / "own"), shipped(root.path() / "shipped");
  const Spec fails{.head_dim = 32, .rope_dim = 32}, third{.head_dim = 96, .rope_dim = 96};
  fill(shipped);
  JitFixture(own).obtain(kOther);
  JitFixture f(own);
  f.options.read_only = {shipped};
  f.options.further = {std::make_shared<const CacheDirectory>(root.path() / "store")};
  JitFixture(CacheDirectory(root.path() / "store")).obtain(third);
  f.nvrtc->refuse = true;
  Jit& jit = f.jit();
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&] {
        for (const Spec& spec : {kSpec, kOther, third, fails}) {
          static_cast<void>(jit.obtain(spec, default_variant(spec), "sm_90"));
          static_cast<void>(jit.find(spec, default_variant(spec), "sm_90"));
        }
      });
    }
  }
  const JitCounters& c = jit.counters();
  CHECK(c.requests == c.memory_hits + c.cache_hits() + c.misses);
  CHECK(c.requests >= 16);
  CHECK(c.read_only_hits == 1);
  CHECK(c.writable_hits == 1);
  CHECK(c.further_hits == 1);
  CHECK(c.misses == 1);
  CHECK(c.misses == c.compiled + c.failed);
  CHECK(c.cache_read.milliseconds() > 0);
}

TEST_CASE("a request that is told to stop waits for no other process, and is not remembered",
          "[jit]") {
  const TemporaryDirectory root;
  const CacheDirectory directory(root.path());
  const FileLock other =
      directory.lock(kernel_key(kSpec, default_variant(kSpec), "sm_90"), std::chrono::seconds(0));
  REQUIRE(other.state() == FileLock::State::held);
  JitFixture f(directory);
  std::stop_source stop;
  stop.request_stop();
  const auto stopped = f.jit().obtain(kSpec, default_variant(kSpec), "sm_90", stop.get_token());
  REQUIRE_FALSE(stopped.has_value());
  CHECK(stopped.error().reason == Reason::none);
  CHECK(f.opened == 0);
  f.options.patience = {};
  CHECK(f.jit().counters().lock_waits == 0);
  CHECK(f.find().error().reason == Reason::compile_pending);  // not that it failed
}
