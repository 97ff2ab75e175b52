// Which kernels serve two streams, and what serves them where one kernel cannot.
#include "tests/catch.hpp"
#include "tests/driver/fixture.hpp"
#include "tests/unit/mentions.hpp"

using namespace qkjit;
using namespace qkjit::test;

namespace {

FakeCuda& cuda() { return fake_cuda(); }

const Spec kText = {.head_dim = 128, .rope_dim = 0, .positions = Positions::implicit};

/// The call elsewhere, as another stream's.
qkjit_args moved(qkjit_args args) {
  for (qkjit_tensor* t : {&args.q, &args.k}) t->data = static_cast<char*>(t->data) + (1ull << 35);
  return args;
}
qkjit_args text_call() {
  qkjit_args args = moved(small_call());
  args.spec = to_c(kText);
  args.cos_sin_cache = QKJIT_TENSOR_INIT;
  return args;
}

std::string launch(DriverFixture& f, const qkjit_args& a, const qkjit_args& b) {
  const auto done = f.runtime().launch_dual(a, b, nullptr);
  if (!done) return done.error().message;
  return fmt::format("{} ({})", name_of(done->path), name_of(done->reason));
}

}  // namespace

TEST_CASE("two streams are one launch of one kernel", "[driver][dual]") {
  DriverFixture f;
  CHECK(launch(f, small_call(), moved(small_call())) == "fused (none)");
  CHECK(cuda().launches.size() == 1);
  CHECK(cuda().last_launch().entry.starts_with("qkjit_dual_"));
  CHECK(cuda().last_launch().threads == kFirst);
  CHECK(launch(f, small_call(), moved(large_call())) == "fused (none)");
  CHECK(cuda().last_launch().threads == kSecond);  // by the bytes of both
  CHECK(launch(f, small_call(), moved(large_call_with_gaps())) == "fused (none)");
  CHECK(cuda().last_launch().threads == kFirst);
  CHECK(cuda().launches.size() == 3);
  CHECK(f.runtime().stats().paths[static_cast<std::size_t>(Path::fused)] == 3);
}

TEST_CASE("a pair of calls that was made before is made again at once", "[driver][dual]") {
  DriverFixture f;
  const qkjit_args a = small_call(), b = moved(small_call());
  CHECK(launch(f, a, b) == "fused (none)");
  CHECK(launch(f, a, b) == "fused (none)");
  qkjit_args other = b;
  other.eps = 1e-5f;
  CHECK(launch(f, a, other) == "fused (none)");
  other.q.data = a.q.data;  // differs in what makes it wrong
  CHECK(mentions(launch(f, a, other), {"overlaps"}));
  CHECK(cuda().launches.size() == 3);
  CHECK(cuda().loads == 1);
}

TEST_CASE("streams of two specs take no bulk copies", "[driver][dual]") {
  DriverFixture f;
  CHECK(launch(f, large_call(), text_call()) == "fused (none)");
  CHECK(cuda().last_launch().threads == kFirst);
  CHECK(launch(f, text_call(), small_call()) == "fused (none)");  // another kernel
  CHECK(cuda().loads == 2);
  CHECK(cuda().launches.size() == 2);
}

TEST_CASE("a stream without tokens leaves the other alone", "[driver][dual]") {
  DriverFixture f;
  qkjit_args none = text_call();
  none.q.shape[0] = none.k.shape[0] = 0;
  CHECK(launch(f, small_call(), none) == "fused (none)");
  CHECK(launch(f, none, small_call()) == "fused (none)");
  CHECK_FALSE(cuda().last_launch().entry.starts_with("qkjit_dual_"));
  CHECK(launch(f, none, none) == "none (none)");
}

TEST_CASE("what one kernel cannot serve, two launches do", "[driver][dual]") {
  DriverFixture f;
  CHECK(launch(f, misaligned_call(), moved(small_call())) == "generic (alignment)");
  CHECK(cuda().launches.size() == 2);
  qkjit_args requested = moved(small_call());
  requested.path = QKJIT_PATH_GENERIC;
  CHECK(launch(f, small_call(), requested) == "generic (requested)");
  CHECK(cuda().launches.size() == 4);
  qkjit_args fused = moved(small_call());
  fused.path = QKJIT_PATH_FUSED;
  CHECK(mentions(launch(f, misaligned_call(), fused), {"no common kernel", "alignment"}));
  CHECK(cuda().launches.size() == 4);
}

TEST_CASE("a norm across heads takes a launch of its own", "[driver][dual]") {
  DriverFixture f;
  qkjit_args across = moved(small_call());
  across.spec.norm_scope = QKJIT_NORM_SCOPE_TOKEN;
  across.q_weight = across.k_weight = qkjit_tensor_1d(address(0x500000), QKJIT_BF16, 24 * 128);
  CHECK(f.runtime().prepare_dual(kSpec, *to_spec(across.spec)).has_value());
  CHECK(launch(f, small_call(), across) == "fused (shape)");
  CHECK(cuda().launches.size() == 2);
}

TEST_CASE("prepare_dual() loads what launches of the two need", "[driver][dual]") {
  DriverFixture f;
  REQUIRE(f.runtime().prepare_dual(kSpec, kSpec).has_value());
  cuda().capturing = true;
  CHECK(launch(f, small_call(), moved(small_call())) == "fused (none)");
  CHECK(launch(f, small_call(), moved(large_call())) == "fused (none)");
  CHECK(launch(f, misaligned_call(), moved(small_call())) == "generic (alignment)");
  CHECK(launch(f, small_call(), text_call()) == "generic (stream_capturing)");
  qkjit_args none = small_call();
  none.q.shape[0] = none.k.shape[0] = 0;
  CHECK(launch(f, small_call(), none) == "fused (none)");
}

TEST_CASE("prepare_dual_for() needs a target that names a GPU", "[driver][dual]") {
  DriverFixture f;
  CHECK(fails(f.runtime().prepare_dual_for(kSpec, kSpec, "compute_90"), Code::invalid_argument,
              {"compute_90", "use sm_90"}));
}

TEST_CASE("during a capture the kernels of each stream serve, if they are loaded",
          "[driver][dual]") {
  DriverFixture f;
  REQUIRE(f.runtime().prepare(kSpec).has_value());
  cuda().capturing = true;
  CHECK(launch(f, small_call(), moved(small_call())) == "fused (stream_capturing)");
  CHECK(cuda().launches.size() == 2);
}

TEST_CASE("strict: two launches in place of one are refused", "[driver][dual]") {
  DriverFixture f;
  f.strict = true;
  f.options.compile = CompilePolicy::never;
  CHECK(mentions(launch(f, small_call(), text_call()),
                 {"no common kernel", "compile_forbidden", "head_dim=128"}));
  CHECK(cuda().launches.empty());
}
