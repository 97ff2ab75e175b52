// Calls that were checked before are found again, and no others.
#include "call_cache.hpp"

#include <cstring>
#include <thread>

#include "tests/catch.hpp"
#include "tests/unit/fake_args.hpp"

using namespace qkjit;

namespace {

const LoadedKernel* const kKernel = reinterpret_cast<const LoadedKernel*>(std::uintptr_t{64});

void keep(std::uint64_t runtime, int device, const qkjit_args& args, unsigned blocks) {
  FusedLaunch launch{};
  launch.grid.blocks = blocks;
  CallCache::of_this_thread().keep(runtime, device, args, *kKernel, launch);
}

const ReadyCall* find(std::uint64_t runtime, int device, const qkjit_args& args) {
  return CallCache::of_this_thread().find(runtime, device, args);
}

}  // namespace

TEST_CASE("a call is found again by the same runtime on the same device", "[call_cache]") {
  const qkjit_args args = fake_args();
  CHECK(find(1, 0, args) == nullptr);
  keep(1, 0, args, 7);
  REQUIRE(find(1, 0, args) != nullptr);
  CHECK(find(1, 0, args)->launch.grid.blocks == 7);
  CHECK(find(1, 0, args)->kernel == kKernel);
  CHECK(find(2, 0, args) == nullptr);
  CHECK(find(1, 1, args) == nullptr);
  std::jthread([&] { CHECK(find(1, 0, args) == nullptr); });
}

TEST_CASE("a call that differs in any argument is another", "[call_cache]") {
  const qkjit_args args = fake_args();
  keep(1, 0, args, 7);
  const auto differs = [&](auto change) {
    qkjit_args other = args;
    change(other);
    return find(1, 0, other) == nullptr;
  };
  CHECK(differs([](auto& a) { a.eps = 1e-5f; }));
  CHECK(differs([](auto& a) { a.spec.rounding = QKJIT_ROUNDING_HF; }));
  CHECK(differs([](auto& a) { a.path = QKJIT_PATH_GENERIC; }));
  CHECK(differs([](auto& a) { a.position_offset = 1; }));
  CHECK(differs([](auto& a) { a.frequencies.base = 1e4; }));
  CHECK(differs([](auto& a) { a.frequencies.attention_factor = 1.5; }));
  CHECK(differs([](auto& a) { a.k.strides[0] += 64; }));
  CHECK(differs([](auto& a) { a.cos_sin_cache.shape[0] = 11; }));
  CHECK(differs([](auto& a) { a.k_out.data = address(0x900000); }));
}

TEST_CASE("arguments of a smaller struct are not read beyond it", "[call_cache]") {
  std::vector<std::byte> small(sizeof(std::size_t));
  const std::size_t bytes = small.size();
  std::memcpy(small.data(), &bytes, sizeof(bytes));
  CHECK(find(1, 0, *reinterpret_cast<const qkjit_args*>(small.data())) == nullptr);
}

TEST_CASE("many calls displace one another and none is mistaken", "[call_cache]") {
  qkjit_args args = fake_args();
  unsigned known = 0;
  for (unsigned i = 1; i <= 1000; ++i) {
    args.q.data = address(0x100000 + 64 * i);
    keep(1, 0, args, i);
    REQUIRE(find(1, 0, args) != nullptr);
  }
  for (unsigned i = 1; i <= 1000; ++i) {
    args.q.data = address(0x100000 + 64 * i);
    const ReadyCall* ready = find(1, 0, args);
    if (!ready) continue;
    ++known;
    CHECK(ready->launch.grid.blocks == i);
  }
  CHECK(known > 60);
}
