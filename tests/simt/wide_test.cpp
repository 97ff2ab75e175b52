// Offsets beyond 2^32 elements, on every path: sparse memory, of which only the rows that are used
// ever exist.
#include <sys/mman.h>

#include <cstring>
#include <stdexcept>

#include "cpu/cpu_path.hpp"
#include "tests/catch.hpp"
#include "tests/simt/paths.hpp"
#include "tests/support/values.hpp"

using namespace qkjit;
using namespace qkjit::simt;

namespace {

/// Address space of which pages become memory when they are touched.
class SparseMemory {
 public:
  explicit SparseMemory(std::int64_t bytes) : bytes_(static_cast<std::size_t>(bytes)) {
    data_ = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (data_ == MAP_FAILED) throw std::runtime_error("cannot map sparse memory");
  }
  SparseMemory(const SparseMemory&) = delete;
  SparseMemory& operator=(const SparseMemory&) = delete;
  ~SparseMemory() { munmap(data_, bytes_); }

  void* data() const { return data_; }

 private:
  std::size_t bytes_;
  void* data_;
};

constexpr std::int64_t kFar = (1ll << 32) + 16;  // elements: wraps to 16 in 32 bits
constexpr std::int64_t kTokens = 3, kHeads = 2;
constexpr std::int64_t kNear = 256;  // the strides that are not far
constexpr Spec kSpec{.head_dim = 64,
                     .rope_dim = 64,
                     .layout = Layout::neox,
                     .dtype = DType::bf16,
                     .rounding = Rounding::split,
                     .positions = Positions::int32};
constexpr std::size_t kRowBytes = 64 * 2;
constexpr std::int64_t kFirstTableRow = (1ll << 32) / 64 - 1;  // the next one begins at 2^32
constexpr std::int64_t kTableRows = kFirstTableRow + kTokens;

/// q far from token to token, k far from head to head, and a table whose rows lie beyond 2^32.
struct WideProblem {
  SparseMemory q{2 * kTokens * kFar}, k{2 * kHeads * kFar};
  SparseMemory table{4 * 64 * kTableRows};
  alignas(16) std::array<std::byte, kRowBytes> weight;
  std::array<std::int32_t, kTokens> positions{2, 0, 1};
  qkjit_args args = QKJIT_ARGS_INIT;

  WideProblem() {
    args.spec = to_c(kSpec);
    args.q = qkjit_tensor_3d(q.data(), QKJIT_BF16, kTokens, kHeads, 64);
    args.q.strides[0] = kFar, args.q.strides[1] = kNear;
    args.k = qkjit_tensor_3d(k.data(), QKJIT_BF16, kTokens, kHeads, 64);
    args.k.strides[0] = kNear, args.k.strides[1] = kFar;
    args.q_weight = args.k_weight = qkjit_tensor_1d(weight.data(), QKJIT_BF16, 64);
    args.cos_sin_cache = qkjit_tensor_2d(table.data(), QKJIT_FP32, kTableRows, 64);
    args.positions = qkjit_tensor_1d(positions.data(), QKJIT_INT32, kTokens);
    args.position_offset = kFirstTableRow;
    fill();
  }

  void fill() {
    test::Random random(1);
    test::fill_weights(test::Data::normal, DType::bf16, random, weight.data(), 64);
    for (std::int64_t row = 0; row < kTokens; ++row) {
      auto* const to = static_cast<std::byte*>(table.data()) + 4 * (kFirstTableRow + row) * 64;
      for (int i = 0; i < 32; ++i) {
        const auto angle = test::random_angle(test::Data::normal, DType::fp32, random);
        test::put(DType::fp32, to, i, angle.cosine);
        test::put(DType::fp32, to, 32 + i, angle.sine);
      }
    }
    for_each_row(
        [&](std::byte* row) { test::fill_row(test::Data::normal, DType::bf16, random, row, 64); });
  }

  template <class Visit>
  void for_each_row(Visit visit) const {
    for (const qkjit_tensor* t : {&args.q, &args.k}) {
      for (std::int64_t token = 0; token < kTokens; ++token) {
        for (std::int64_t head = 0; head < kHeads; ++head) {
          visit(static_cast<std::byte*>(t->data) +
                2 * (token * t->strides[0] + head * t->strides[1]));
        }
      }
    }
  }

  std::vector<std::byte> rows() const {
    std::vector<std::byte> rows;
    for_each_row([&](std::byte* row) { rows.insert(rows.end(), row, row + kRowBytes); });
    return rows;
  }
};

/// The rows after `run`, which gets the checked call.
template <class Run>
std::vector<std::byte> rows_after(Run run) {
  const WideProblem problem;
  run(checked(problem.args));
  return problem.rows();
}

}  // namespace

TEST_CASE("wide: offsets beyond 2^32 elements, on every path") {
  // The same rows close together, where no offset can overflow.
  const WideProblem wide;
  const auto near = [&] {
    qkjit_args args = wide.args;
    std::vector<std::byte> rows = wide.rows();
    auto* const k_rows = rows.data() + rows.size() / 2;
    args.q = qkjit_tensor_3d(rows.data(), QKJIT_BF16, kTokens, kHeads, 64);
    args.k = qkjit_tensor_3d(k_rows, QKJIT_BF16, kTokens, kHeads, 64);
    args.cos_sin_cache.data = static_cast<float*>(wide.table.data()) + kFirstTableRow * 64;
    args.cos_sin_cache.shape[0] = kTokens;
    args.position_offset = 0;
    const Operation op = checked(args);
    run_on_cpu(op.spec, op.params, op.batches_apart(), 1);
    return rows;
  }();
  CHECK(near != wide.rows());

  CHECK(rows_after([](const Operation& op) {
          run_on_cpu(op.spec, op.params, op.batches_apart(), 1);
        }) == near);
  CHECK(rows_after([](const Operation& op) {
          fused_kernel<kSpec>().run(fused_launch(op, default_variant(kSpec)));
        }) == near);
  CHECK(rows_after([](const Operation& op) { run_generic(op); }) == near);
}
