// Sizes of real models, and offsets that do not fit in 32 bits.
#include "tests/gpu/gpu.hpp"
#include "tests/support/compare.hpp"

using namespace qkjit;
using namespace qkjit::test;

TEST_CASE("gpu: tens of thousands of tokens") {
  const Gpu gpu;
  check_every_path(gpu, {.spec = {128, 128, Layout::interleaved, DType::bf16, Rounding::fused,
                                  Positions::implicit},
                         .tokens = 4608,
                         .heads_q = 24,
                         .heads_k = 24,
                         .strides = Strides::packed});
  check_every_path(gpu, {.spec = {128, 128, Layout::neox, DType::bf16, Rounding::hf},
                         .tokens = 32768,
                         .heads_q = 8,
                         .heads_k = 1,
                         .strides = Strides::gaps,
                         .data = Data::special});
  check_every_path(
      gpu, {.spec = {64, 64, Layout::interleaved, DType::fp16, Rounding::eager, Positions::int32},
            .tokens = 70001,
            .heads_q = 2,
            .heads_k = 1,
            .in_place = false,
            .position_offset = 11});
  check_every_path(gpu, {.spec = {256, 96, Layout::neox, DType::fp32, Rounding::late_weight},
                         .tokens = 20011,
                         .heads_q = 4,
                         .heads_k = 2,
                         .strides = Strides::head_major});
}

namespace {

constexpr int kHeadsQ = 64, kHeadsK = 4, kHeadDim = 128;
constexpr std::int64_t kSlab = (kHeadsQ + 2 * kHeadsK) * kHeadDim;  // elements of a token
constexpr Spec kSpec{kHeadDim, kHeadDim, Layout::neox, DType::bf16, Rounding::fused};

/// Runs `path` in place on `tokens` tokens of packed q and k, `token_stride` elements apart, and
/// checks the tokens of `sample`: only these are filled and compared, as tokens of a problem.
void check_wide(qkjit_path path, std::int64_t tokens, std::int64_t token_stride,
                const std::vector<std::int64_t>& sample) {
  const Gpu gpu;
  const Problem before({.spec = kSpec,
                        .tokens = static_cast<std::int64_t>(sample.size()),
                        .heads_q = kHeadsQ,
                        .heads_k = kHeadsK,
                        .strides = Strides::packed});
  Problem expected = before, after = before;
  run_on_host(expected);

  const DeviceProblem small(gpu.workspace(), before);
  qkjit_args args = small.args(path);
  std::vector<std::int64_t> positions(static_cast<std::size_t>(tokens), 0);
  const Argument& q = before.arguments().front();
  const auto device_offset = [&](std::size_t i) {
    return static_cast<std::size_t>(sample[i] * token_stride) * 2;
  };
  const auto host_offset = [&](std::size_t i) { return q.offset + i * kSlab * 2; };
  const DeviceBuffer qkv = take(DeviceBuffer::allocate(
      gpu.workspace().driver(), static_cast<std::size_t>((tokens - 1) * token_stride + kSlab) * 2));
  for (std::size_t i = 0; i < sample.size(); ++i) {
    take(qkv.upload(before.blocks()[q.block].bytes.data() + host_offset(i), kSlab * 2,
                    device_offset(i)));
  }
  for (const Argument& a : before.arguments()) {
    if (a.field != &qkjit_args::positions) continue;
    const auto* from =
        reinterpret_cast<const std::int64_t*>(before.blocks()[a.block].bytes.data() + a.offset);
    for (std::size_t i = 0; i < sample.size(); ++i) {
      positions[static_cast<std::size_t>(sample[i])] = from[i];
    }
  }
  const DeviceBuffer device_positions =
      take(DeviceBuffer::allocate(gpu.workspace().driver(), positions.size() * 8));
  take(device_positions.upload(positions.data(), positions.size() * 8));

  args.q.data = qkv.data();
  args.k.data = static_cast<std::byte*>(qkv.data()) + kHeadsQ * kHeadDim * 2;
  args.q.shape[0] = args.k.shape[0] = tokens;
  args.q.strides[0] = args.k.strides[0] = token_stride;
  args.positions = qkjit_tensor_1d(device_positions.data(), QKJIT_INT64, tokens);
  qkjit_dispatch dispatch{};
  take(qkjit_launch(gpu.runtime(), &args, gpu.stream(), &dispatch));
  CHECK(dispatch.path == path);
  take(gpu.workspace().synchronize());
  for (std::size_t i = 0; i < sample.size(); ++i) {
    take(qkv.download(after.blocks()[q.block].bytes.data() + host_offset(i), kSlab * 2,
                      device_offset(i)));
  }
  CHECK(first_difference(qkjit_path_string(path), expected, after) == "");
}

}  // namespace

TEST_CASE("gpu: 2 x 116,510 tokens of 64 + 4 heads in place, beyond 2^31 elements") {
  constexpr std::int64_t kTokens = 2 * 116510;
  static_assert((kTokens - 1) * kSlab > 1ll << 31, "the last token lies beyond the boundary");
  std::vector<std::int64_t> sample;
  for (std::int64_t i = 0; i < 61; ++i) sample.push_back(i * i * 60);  // spread over the lower part
  for (const std::int64_t back : {3000, 4, 3, 2, 1}) sample.push_back(kTokens - back);
  check_wide(GENERATE(QKJIT_PATH_FUSED, QKJIT_PATH_GENERIC), kTokens, kSlab, sample);
}

TEST_CASE("gpu: tokens more than 2^32 elements apart") {
  check_wide(GENERATE(QKJIT_PATH_FUSED, QKJIT_PATH_GENERIC), 3, (1ll << 32) + 16, {0, 1, 2});
}
