// Which views may share memory: the byte arithmetic against sets of bytes, and the rules of a call.
#include <random>
#include <set>

#include "op/check.hpp"
#include "op/extent.hpp"
#include "tests/unit/fake_args.hpp"
#include "tests/unit/mentions.hpp"

using namespace qkjit;

namespace {

/// The view's bytes; `twice` tells whether two rows share one.
std::set<std::int64_t> bytes_of(const Extent& e, bool& twice) {
  std::set<std::int64_t> bytes;
  twice = false;
  for (std::int64_t token = 0; token < e.batches * e.tokens; ++token)
    for (std::int64_t head = 0; head < e.heads; ++head)
      for (std::int64_t i = 0; i < e.row; ++i) {
        const std::int64_t from = token / e.tokens * e.batch_stride +
                                  token % e.tokens * e.token_stride + head * e.head_stride + i;
        twice |= !bytes.insert(static_cast<std::int64_t>(e.begin) + from).second;
      }
  return bytes;
}

bool share_a_byte(const Extent& a, const Extent& b) {
  bool ignored = false;
  const auto of_a = bytes_of(a, ignored), of_b = bytes_of(b, ignored);
  return std::ranges::any_of(of_a, [&](std::int64_t byte) { return of_b.contains(byte); });
}

/// q and k as views of one buffer of `token_stride` elements a token, in place.
qkjit_args packed(std::int64_t token_stride, std::int64_t head_stride, std::int64_t k_offset) {
  qkjit_args args = fake_args();
  args.k.data = static_cast<char*>(args.q.data) + 2 * k_offset;
  for (qkjit_tensor* t : {&args.q, &args.k}) {
    t->strides[0] = token_stride;
    t->strides[1] = head_stride;
  }
  args.q_out = args.k_out = QKJIT_TENSOR_INIT;
  return args;
}

bool accepts(const qkjit_args& args) {
  const auto op = check_args(args);
  if (!op) UNSCOPED_INFO(op.error().message);
  return op.has_value();
}

bool refuses(const qkjit_args& args, std::initializer_list<std::string_view> words) {
  return fails(check_args(args), Code::invalid_argument, words);
}

}  // namespace

TEST_CASE("overlaps are found exactly where strides are equal, and never missed", "[op]") {
  std::mt19937 random(1);
  const auto pick = [&](int low, int high) {
    return std::uniform_int_distribution<std::int64_t>(low, high)(random);
  };
  int exact = 0, met = 0;
  for (int i = 0; i < 100000; ++i) {
    // As src/op makes them: the same batches and rows, no stride where there is one.
    const std::int64_t batches = pick(1, 3), row = pick(1, 4), batch_stride = pick(0, 40);
    const auto extent = [&](std::int64_t token_stride, std::int64_t head_stride) {
      const std::int64_t heads = pick(1, 4), tokens = pick(1, 4);
      return Extent{static_cast<std::uintptr_t>(pick(1000, 1040)),
                    tokens,
                    heads,
                    tokens > 1 ? token_stride : 0,
                    heads > 1 ? head_stride : 0,
                    row,
                    batches,
                    batches > 1 ? batch_stride : 0};
    };
    const std::int64_t token_stride = pick(0, 24), head_stride = pick(0, 24);
    const Extent a = extent(token_stride, head_stride);
    const bool equal = pick(0, 1) == 1;
    const Extent b = equal ? extent(token_stride, head_stride) : extent(pick(0, 24), pick(0, 24));
    bool twice = false;
    bytes_of(a, twice);
    INFO("batches " << batches << " " << batch_stride << " row " << row << ", a: " << a.begin << " "
                    << a.heads << " " << a.token_stride << " " << a.head_stride << ", b: "
                    << b.begin << " " << b.heads << " " << b.token_stride << " " << b.head_stride);
    if (twice && !overlaps_itself(a)) FAIL("a overlaps itself");
    if (overlaps_itself(a)) continue;  // no output can be like this
    const bool share = share_a_byte(a, b);
    if (share && !overlap(a, b)) FAIL("missed");
    if (share && !overlap(b, a)) FAIL("missed the other way round");
    if (equal && overlap(a, b) != share) FAIL("not exact");
    exact += equal, met += share;
  }
  CHECK(exact > 10000);
  CHECK(met > 10000);
}

TEST_CASE("rows of dense and of padded views do not overlap themselves", "[op]") {
  CHECK_FALSE(overlaps_itself({0, 4, 3, 384, 128, 128}));
  CHECK_FALSE(overlaps_itself({0, 4, 3, 1000, 200, 128}));
  CHECK_FALSE(overlaps_itself({0, 4, 3, 128, 512, 128}));  // [heads, tokens, head_dim] seen across
  CHECK_FALSE(overlaps_itself({0, 1, 1, 0, 0, 128}));
  CHECK(overlaps_itself({0, 4, 3, 383, 128, 128}));
  CHECK(overlaps_itself({0, 4, 3, 384, 127, 128}));
  CHECK(overlaps_itself({0, 2, 1, 0, 0, 128}));
}

TEST_CASE("views of one projection do not overlap", "[op]") {
  CHECK(accepts(packed(5 * 64, 64, 3 * 64)));         // [tokens, q heads + k heads, 64]
  CHECK(accepts(packed((3 + 2 + 2) * 64, 64, 192)));  // with v behind
  CHECK(accepts(packed(3 * 3 * 64, 3 * 64, 64)));     // [tokens, heads, (q, k, v), 64]
  CHECK(accepts(packed(2 * 3 * 64, 2 * 64, 64)));     // without v
  CHECK(refuses(packed(7 * 64, 64, 192 - 1), {"overlaps k"}));
  CHECK(refuses(packed(5 * 64 - 1, 64, 192), {"overlaps k"}));
  CHECK(refuses(packed(3 * 3 * 64, 3 * 64, 64 - 1), {"overlaps k"}));
  CHECK(refuses(packed(3 * 64, 64, 0), {"q overlaps k"}));
}

TEST_CASE("an output is its input exactly, or apart from every tensor", "[op]") {
  const auto q_out_at = [](std::uintptr_t at) {
    qkjit_args args = fake_args();
    args.q_out.data = address(at);
    return args;
  };
  const std::uintptr_t q = 0x100000, k = 0x200000, k_out = 0x400000;
  const std::uintptr_t q_size = 4 * 3 * 64 * 2, k_size = 4 * 2 * 64 * 2;
  CHECK(accepts(q_out_at(q)));
  CHECK(accepts(q_out_at(q + q_size)));
  CHECK(accepts(q_out_at(q - q_size)));
  CHECK(refuses(q_out_at(q + 2), {"q_out overlaps q:", "in"}));
  CHECK(refuses(q_out_at(q + q_size - 2), {"q_out overlaps q:"}));
  CHECK(refuses(q_out_at(q - q_size + 2), {"q_out overlaps q:"}));
  CHECK(accepts(q_out_at(k + k_size)));
  CHECK(refuses(q_out_at(k), {"q_out overlaps k:"}));
  CHECK(refuses(q_out_at(k_out + k_size - 2), {"q_out overlaps k_out:"}));

  qkjit_args restrided = q_out_at(q);  // the same memory, another order
  restrided.q_out.strides[0] = 64, restrided.q_out.strides[1] = 256;
  CHECK(refuses(restrided, {"q_out overlaps q:"}));
  for (const std::uintptr_t beside : {q - q_size, q + q_size}) {
    restrided.q_out.data = address(beside);
    CHECK(accepts(restrided));
  }

  qkjit_args alike = fake_args();  // q and k of one shape
  alike.k.shape[1] = alike.k_out.shape[1] = 3;
  alike.k.strides[0] = alike.k_out.strides[0] = 192;
  CHECK(accepts(alike));
  alike.q_out.data = alike.k.data;
  CHECK(refuses(alike, {"q_out overlaps k:"}));
  alike.q_out.data = alike.k_out.data;
  CHECK(refuses(alike, {"q_out overlaps k_out:"}));
}

TEST_CASE("inputs may be broadcast and may overlap, outputs may not", "[op]") {
  qkjit_args args = fake_args();
  args.q.strides[0] = 0;
  args.k.strides[0] = args.k.strides[1] = 0;
  CHECK(accepts(args));
  args.k.data = args.q.data;
  CHECK(accepts(args));
  args = fake_args();
  args.k_out.strides[0] = 64;
  CHECK(refuses(args, {"rows of k_out overlap each other", "token stride 128"}));
  args = fake_args();
  args.q.strides[0] = 0;
  args.q_out = QKJIT_TENSOR_INIT;
  CHECK(refuses(args, {"rows of q overlap each other"}));
}
