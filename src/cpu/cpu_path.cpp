#include "cpu/cpu_path.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <exception>
#include <thread>
#include <vector>

#include "kernels/arithmetic.cuh"
#include "kernels/rows.cuh"
#include "kernels/table.cuh"
#include "spec/support.hpp"
#include "util/float_environment.hpp"

namespace qkjit {
namespace {

constexpr int kMaxChunks = kMaxHeadDim / kChunk;

/// The butterfly of arithmetic.cuh. All of its lanes end up equal, so only lane 0 is followed:
/// adding the upper half to the lower, again and again.
float sum_row(const float* x, int head_dim) {
  std::array<float, kMaxChunks> sums = {};
  for (int first = 0; first < head_dim; first += kChunk) {
    float chunk[kChunk] = {};
    std::copy_n(x + first, std::min(kChunk, head_dim - first), chunk);
    sums[first / kChunk] = sum_of_squares(chunk);
  }
  for (int d = next_power_of_two(ceil_div(head_dim, kChunk)) / 2; d > 0; d /= 2) {
    for (int i = 0; i < d; ++i) sums[i] = add_rn(sums[i], sums[i + d]);
  }
  return sums[0];
}

template <DType kDType>
void run_row(const Spec& spec, const Params& params, float inv_head_dim, Divisor by_heads,
             unsigned row_index) {
  using F = Format<kDType>;
  using Storage = typename F::Storage;
  const RowView row = find_row(params, row_index, by_heads);
  const Storage* in = static_cast<const Storage*>(row.rows.in) + row.in_offset();
  const Storage* weight = static_cast<const Storage*>(row.rows.weight);
  Storage* out = static_cast<Storage*>(row.rows.out) + row.out_offset();

  std::array<float, kMaxHeadDim> y;
  for (int i = 0; i < spec.head_dim; ++i) y[i] = F::load(in[i]);
  if (spec.norm != Norm::none) {
    const float r = reciprocal_rms(sum_row(y.data(), spec.head_dim), inv_head_dim, params.eps);
    for (int i = 0; i < spec.head_dim; ++i) {
      y[i] = normalize<kDType>(spec.rounding, y[i], r, F::load(weight[i]));
    }
  }

  if (spec.rope_dim > 0) {
    const TableRows table =
        find_angles(params, spec.positions, TableForm::of(spec), false, row.token);
    const int half = spec.rope_dim / 2;
    const bool neox = spec.layout == Layout::neox;
    float* rotated = y.data() + rotated_begin(spec);
    for (int angle = 0; angle < half; ++angle) {
      float& first = rotated[neox ? angle : 2 * angle];
      float& second = rotated[neox ? angle + half : 2 * angle + 1];
      const int other = neox ? table.form.angle_of(angle + half) : angle;
      rotate_pair<kDType>(spec.rounding, first, second, table.cosine(angle), table.sine(angle),
                          table.cosine(other), table.sine(other));
    }
  }
  for (int i = 0; i < spec.head_dim; ++i) out[i] = F::store(y[i]);
}

template <DType kDType>
void run_rows(const Spec& spec, const Params& params, unsigned begin, unsigned end) {
  const FloatEnvironment ieee;
  const float inv_head_dim = 1.0f / static_cast<float>(spec.head_dim);
  const Divisor by_heads = Divisor::of(params.q.heads + params.k.heads);
  for (unsigned row = begin; row < end; ++row) {
    run_row<kDType>(spec, params, inv_head_dim, by_heads, row);
  }
}

void run_range(const Spec& spec, const Params& params, unsigned begin, unsigned end) {
  switch (spec.dtype) {
    case DType::bf16:
      return run_rows<DType::bf16>(spec, params, begin, end);
    case DType::fp16:
      return run_rows<DType::fp16>(spec, params, begin, end);
    case DType::fp32:
      return run_rows<DType::fp32>(spec, params, begin, end);
  }
}

/// Threads worth starting: each costs about as much as some ten thousand elements.
unsigned useful_threads(const Spec& spec, const Params& params, int limit) {
  const unsigned cores =
      limit > 0 ? static_cast<unsigned>(limit) : std::thread::hardware_concurrency();
  const std::uint64_t elements =
      std::uint64_t{params.row_count} * static_cast<unsigned>(spec.head_dim);
  return static_cast<unsigned>(std::clamp<std::uint64_t>(elements / 32768, 1, std::max(cores, 1u)));
}

}  // namespace

void run_on_cpu(const Spec& spec, const Params& params, int threads) {
  const std::uint64_t count = useful_threads(spec, params, threads);
  const auto boundary = [&](std::uint64_t i) {
    return static_cast<unsigned>(params.row_count * i / count);
  };
  // Threads live for one call: nothing lingers for the host to join, and a fork is harmless.
  std::vector<std::jthread> workers;
  workers.reserve(count - 1);
  for (std::uint64_t i = 1; i < count; ++i) {
    const auto work = [&, i] { run_range(spec, params, boundary(i), boundary(i + 1)); };
    try {
      workers.emplace_back(work);
    } catch (const std::exception&) {
      work();  // the system gives no more threads: slower, never half done
    }
  }
  run_range(spec, params, 0, boundary(1));
}

}  // namespace qkjit
