// The generic kernel over the full grid: its shapes are known at run time only, so nothing is left
// out to spare the compiler.
#include <set>
#include <vector>

#include "tests/catch.hpp"
#include "tests/simt/paths.hpp"

using namespace qkjit;
using namespace qkjit::simt;
using test::Problem;

namespace {

std::set<int> head_dims() {
  std::set<int> dims = {63,  64,  65,  72,  80,  96,  112, 127, 128, 129,  160,  192, 255,
                        256, 257, 320, 511, 512, 513, 520, 768, 999, 1000, 1023, 1024};
  for (int head_dim = 1; head_dim <= 40; ++head_dim) dims.insert(head_dim);
  return dims;
}

std::set<int> rope_dims(int head_dim) {
  const int even = head_dim / 2 * 2;
  std::set<int> dims = {0, even, head_dim / 4 * 2, std::max(even - 2, 0)};
  for (const int rope_dim : {2, 6, 48}) {
    if (rope_dim <= head_dim) dims.insert(rope_dim);
  }
  return dims;
}

void check_generic(const test::ProblemConfig& config) {
  const Problem before(config);
  Problem after = before;
  run_generic(checked(after.args()));
  check_against_cpu("generic", before, after);
}

/// All shapes, layouts and roundings of a dtype; the rest takes turns.
void check_grid(DType dtype) {
  std::size_t number = 0;
  for (const int head_dim : head_dims()) {
    for (const int rope_dim : rope_dims(head_dim)) {
      for (int i = 0; i < 2 * 7; ++i, ++number) {
        const Norm norm = rope_dim > 0 && number % 7 == 0 ? Norm::none : Norm::rms;
        const Spec spec{head_dim,
                        rope_dim,
                        static_cast<Layout>(i % 2),
                        dtype,
                        static_cast<Rounding>(i / 2),
                        static_cast<Positions>(number % 3),
                        norm,
                        norm};
        auto config = config_of_cycle(spec, number, number % kCycle);
        config.tokens = 2;
        config.misalignment = static_cast<int>(number % 5);
        check_generic(config);
      }
    }
  }
}

}  // namespace

TEST_CASE("generic, bf16: the bytes of the CPU path over the full grid") {
  check_grid(DType::bf16);
}
TEST_CASE("generic, fp16: the bytes of the CPU path over the full grid") {
  check_grid(DType::fp16);
}
TEST_CASE("generic, fp32: the bytes of the CPU path over the full grid") {
  check_grid(DType::fp32);
}

TEST_CASE("generic: every misalignment with every stride kind, in place and out of place") {
  const Spec spec{128, 96, Layout::neox, GENERATE(DType::bf16, DType::fp32), Rounding::split};
  for (std::size_t i = 0; i < kCycle; ++i) {
    for (int misalignment = 0; misalignment < 8; ++misalignment) {
      auto config = config_of_cycle(spec, i, i);
      config.misalignment = misalignment;
      check_generic(config);
    }
  }
}

namespace {

/// Tokens whose slices fill one block and half of another.
int tokens_of_two_blocks(test::ProblemConfig config) {
  config.tokens = 1;
  Problem one(config);
  const GenericParams params = generic_launch(checked(one.args())).params;
  const unsigned per_block = params.groups.per_warp * (kGenericThreads / 32);
  return static_cast<int>(3 * per_block / 2 / params.slices.per_token) + 1;
}

}  // namespace

TEST_CASE("generic: rows of every number of chunks, whole or in part, in more than a block") {
  const Layout layout = GENERATE(Layout::interleaved, Layout::neox);
  std::size_t number = 0;
  for (int chunks = 1; chunks <= kGenericMaxHeadDim / kChunk; ++chunks) {
    for (const int head_dim : {kChunk * chunks, kChunk * chunks - 3}) {
      const int even = head_dim / 2 * 2;
      for (const int rope_dim : {even, head_dim / 16 * 8, head_dim / 4 * 2, even - 2}) {
        ++number;
        const Spec spec{head_dim, rope_dim, layout, static_cast<DType>(number % 3),
                        static_cast<Rounding>(number / 3 % 7)};
        auto config = config_of_cycle(spec, number, number % kCycle);
        config.misalignment = number % 4 == 3 ? 1 : 0;
        config.tokens = tokens_of_two_blocks(config);
        check_generic(config);
      }
    }
  }
}

TEST_CASE("generic: rows on 16 bytes with a table that is not") {
  for (const Layout layout : {Layout::interleaved, Layout::neox}) {
    for (const int head_dim : {64, 72, 320, 1024}) {
      for (const int rope_dim : {head_dim, head_dim / 2}) {
        const Problem before(
            {.spec = {head_dim, rope_dim, layout, DType::bf16}, .data = test::Data::special});
        Problem after = before;
        qkjit_args args = after.args();
        const auto* const table = static_cast<const float*>(args.cos_sin_cache.data);
        std::vector<float> moved(1);
        moved.insert(moved.end(), table, table + args.cos_sin_cache.shape[0] * rope_dim);
        args.cos_sin_cache.data = moved.data() + 1;
        const Operation operation = checked(args);
        const GenericParams params = generic_launch(operation).params;
        REQUIRE((operation.aligned_rows && !params.wide_table));
        run_generic(operation);
        check_against_cpu("generic, moved table", before, after);
      }
    }
  }
}
