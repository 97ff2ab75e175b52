#include "cpu/cpu_path.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <exception>
#include <optional>
#include <thread>
#include <vector>

#include "kernels/arithmetic.cuh"
#include "kernels/phases.cuh"
#include "kernels/rows.cuh"
#include "kernels/sequence.cuh"
#include "kernels/table.cuh"
#include "spec/support.hpp"
#include "util/float_environment.hpp"

namespace qkjit {
namespace {

constexpr int kMaxChunks = kMaxHeadDim / kChunk;

using Row = std::array<float, kMaxHeadDim>;

/// The butterfly of arithmetic.cuh over what `chunk_sum` gives for each chunk. All of its lanes end
/// up equal, so only lane 0 is followed: adding the upper half to the lower, again and again.
template <class ChunkSum>
float sum_row(const Row& x, int head_dim, const ChunkSum& chunk_sum) {
  std::array<float, kMaxChunks> sums = {};
  for (int first = 0; first < head_dim; first += kChunk) {
    float chunk[kChunk] = {};
    std::copy_n(x.data() + first, std::min(kChunk, head_dim - first), chunk);
    sums[first / kChunk] = chunk_sum(chunk);
  }
  for (int d = next_power_of_two(ceil_div(head_dim, kChunk)) / 2; d > 0; d /= 2) {
    for (int i = 0; i < d; ++i) sums[i] = add_rn(sums[i], sums[i + d]);
  }
  return sums[0];
}

std::span<float> values_of(const Spec& spec, Row& y) {
  return std::span(y).first(static_cast<std::size_t>(spec.head_dim));
}

float load_weight(DType dtype, const void* from, std::int64_t i) {
  const auto load = [&]<DType kDType>() {
    using F = Format<kDType>;
    return F::load(static_cast<const typename F::Storage*>(from)[i]);
  };
  switch (dtype) {
    case DType::bf16:
      return load.operator()<DType::bf16>();
    case DType::fp16:
      return load.operator()<DType::fp16>();
    case DType::fp32:
      return load.operator()<DType::fp32>();
  }
  return 0;  // unreachable: the switch is complete
}

/// What the norm takes of a row that is rotated first.
template <DType kDType>
void hand_over_row(const Spec& spec, Row& y) {
  for (int i = 0; i < spec.head_dim; ++i) y[i] = handed_over<kDType>(spec.rounding, y[i]);
}

/// The norm of a row whose reciprocal rms is known. Its vectors begin with element `first` of the
/// tensor's.
template <DType kDType>
void scale_row(const Spec& spec, Norm norm, const Rows& rows, std::int64_t first, float r, Row& y) {
  const DType of_weights = dtype_of_weights(spec);
  for (int i = 0; i < spec.head_dim; ++i) {
    const float stored =
        has_weight(spec, norm) ? load_weight(of_weights, rows.weight, first + i) : 0;
    const float w = effective_weight(spec.weight, stored);
    y[i] = has_bias(spec, norm) ? normalize<kDType>(spec.rounding, y[i], r, w,
                                                    load_weight(of_weights, rows.bias, first + i))
                                : normalize<kDType>(spec.rounding, y[i], r, w);
  }
}

/// `first` is that of the row's vectors, as in scale_row().
template <DType kDType>
void normalize_row(const Spec& spec, Norm norm, const Rows& rows, std::int64_t first, float inv,
                   float eps, Row& y) {
  const int head_dim = spec.head_dim;
  if (spec.norm_order == NormOrder::after) hand_over_row<kDType>(spec, y);
  if (norm == Norm::layer) {
    const float sum = sum_row(y, head_dim, sum_of_elements<kChunk>);
    for (int i = 0; i < head_dim; ++i) y[i] = centred(y[i], sum, inv);
  }
  const float r = reciprocal_rms(sum_row(y, head_dim, sum_of_squares<kChunk>), inv, eps);
  scale_row<kDType>(spec, norm, rows, first, r, y);
}

/// Computed angles, a token's worked out once for all of its heads. Stands for TableRows.
class ComputedAngles {
 public:
  ComputedAngles(const Spec& spec, const AllFrequencies& frequencies)
      : form(TableForm::of(spec)), spec_(spec), frequencies_(frequencies) {}

  /// `params` are those of the token's sequence.
  void find(const Params& params, unsigned token) {
    const Key key{params.positions, params.position_axis_stride, token};
    if (key == found_) return;
    found_ = key;
    const TokenPhases phases = find_phases(params, frequencies_, spec_.positions, form, token);
    for (int angle = 0; angle < form.angles(); ++angle) angles_[angle] = phases.both(angle);
  }
  float cosine(int angle) const { return angles_[angle].c; }
  float sine(int angle) const { return angles_[angle].s; }

  const TableForm form;

 private:
  struct Key {
    const void* positions;
    long long axis_stride;
    unsigned token;

    bool operator==(const Key&) const = default;
  };

  const Spec& spec_;
  const AllFrequencies& frequencies_;
  Key found_{nullptr, 0, ~0u};  // no token's number
  std::array<CosSin, kMaxAngles> angles_;
};

template <DType kDType, class Source>
void rotate_row(const Spec& spec, const Source& table, Row& y) {
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

/// Rotates a head of a token, if the spec rotates; `computed` is null where there is a table.
template <DType kDType>
void rotate_token_row(const Spec& spec, const Params& params, ComputedAngles* computed,
                      unsigned token, unsigned head, Row& y) {
  if (computed) {
    computed->find(params, token);
    rotate_row<kDType>(spec, *computed, y);
  } else if (spec.rope_dim > 0) {
    // Positions were checked: whatever the spec says of bounds, none is outside the table.
    const TableRows table =
        find_angles(params, spec.positions, Bounds::unchecked, TableForm::of(spec), false, token);
    rotate_row<kDType>(spec, table_of_head(table, params.table_head_stride, head), y);
  }
}

/// A row of q or k, with the norm of its tensor.
template <DType kDType>
void run_row(const Spec& spec, const Params& params, ComputedAngles* computed, const RowView& row,
             Norm norm, float inv_head_dim, const RowOutput& output) {
  using F = Format<kDType>;
  using Storage = typename F::Storage;
  const Storage* in = static_cast<const Storage*>(row.rows.in) + row.in_offset();
  const auto normalize_if = [&](NormOrder order, Row& y) {
    if (norm == Norm::none || spec.norm_order != order) return;
    const std::int64_t first = runs_by_token(spec) ? std::int64_t{row.head} * spec.head_dim : 0;
    normalize_row<kDType>(spec, norm, row.rows, first, inv_head_dim, params.eps, y);
  };

  Row y;
  for (int i = 0; i < spec.head_dim; ++i) y[i] = F::load(in[i]);
  normalize_if(NormOrder::before, y);
  rotate_token_row<kDType>(spec, params, computed, row.token, row.head, y);
  normalize_if(NormOrder::after, y);
  store_row<kDType>(spec, row, output, values_of(spec, y));
}

/// The sum of a token's squares, of all heads of q or of k, as arithmetic.cuh has it. `load` gives
/// the norm's input of a head.
template <class Load>
float sum_heads(const Spec& spec, unsigned heads, const Load& load) {
  std::array<float, kPartialSums> sums = {};
  for (unsigned head = 0; head < heads; ++head) {
    float& sum = sums[head % kPartialSums];
    sum = add_rn(sum, sum_row(load(head), spec.head_dim, sum_of_squares<kChunk>));
  }
  for (int d = kPartialSums / 2; d > 0; d /= 2) {
    for (int i = 0; i < d; ++i) sums[i] = add_rn(sums[i], sums[i + d]);
  }
  return sums[0];
}

/// A token's q or k under a norm across heads. Nothing is stored before all of it was read.
template <DType kDType>
void run_heads(const Spec& spec, const Params& params, ComputedAngles* computed, const Rows& rows,
               Norm norm, unsigned token, const RowOutput& output) {
  using F = Format<kDType>;
  using Storage = typename F::Storage;
  const bool rotates_first = norm != Norm::none && spec.norm_order == NormOrder::after;
  const auto rotate = [&](unsigned head, Row& y) {
    rotate_token_row<kDType>(spec, params, computed, token, head, y);
  };
  const auto load = [&](unsigned head) {
    const Storage* in =
        static_cast<const Storage*>(rows.in) + RowView{rows, token, head}.in_offset();
    Row y;
    for (int i = 0; i < spec.head_dim; ++i) y[i] = F::load(in[i]);
    if (rotates_first) {
      rotate(head, y);
      hand_over_row<kDType>(spec, y);
    }
    return y;
  };
  const float r = norm == Norm::none ? 0
                                     : reciprocal_rms(sum_heads(spec, rows.heads, load),
                                                      rows.inv_width, params.eps);
  for (unsigned head = 0; head < rows.heads; ++head) {
    Row y = load(head);
    const std::int64_t first = std::int64_t{head} * spec.head_dim;
    if (norm != Norm::none) scale_row<kDType>(spec, norm, rows, first, r, y);
    if (!rotates_first) rotate(head, y);
    store_row<kDType>(spec, {rows, token, head}, output, values_of(spec, y));
  }
}

/// Where a token lies: in a sequence of its own, where batches do not fold.
struct Place {
  Params params;
  Rows rows;
  unsigned token;
  unsigned sequence;
  bool exists;  ///< q or k may have fewer tokens than there are numbers
};

Place find_place(const Spec& spec, const Params& params, const Batches* batches, bool is_q,
                 unsigned number) {
  const Rows& rows = is_q ? params.q : params.k;
  if (!batches) return {params, rows, number, 0, true};
  const Sequences& of = is_q ? batches->q : batches->k;
  const TokenOfSequence in = find_in_sequence(*batches, number);
  return {positions_of_sequence(params, spec.positions, *batches, of, in.sequence),
          rows_of_sequence(rows, of, size_of(spec.dtype), in.sequence), in.token, in.sequence,
          in.token < of.tokens};
}

/// A token's q or k whose heads share an FP8 scale: once to find it, and again to store them.
template <class Run>
void run_scaled_token(const Spec& spec, const Params& params, const CpuOutputs* outputs,
                      unsigned unit, const Run& run) {
  const bool is_q = unit % 2 == 0;
  const Rows& rows = is_q ? params.q : params.k;
  RowOutput output{outputs, is_q ? Tensor::q : Tensor::k};
  float largest = 0;
  output.largest = &largest;
  for (unsigned head = 0; head < rows.heads && is_fp8(spec, is_q); ++head) {
    run(RowView{rows, unit / 2, head}, output);
  }
  output.largest = nullptr, output.shared_scale = scale_of(largest);
  for (unsigned head = 0; head < rows.heads; ++head) run(RowView{rows, unit / 2, head}, output);
}

/// What is computed by itself: a row; a token's q, and its k, under a norm across heads, and where
/// heads share an FP8 scale.
unsigned unit_count(const Spec& spec, const Params& params) {
  if (!norms_across_heads(spec) && !scales_tokens(spec)) return params.row_count;
  return 2 * (params.row_count / (params.q.heads + params.k.heads));
}

template <DType kDType>
void run_units(const Spec& spec, const Params& params, const Batches* batches,
               const AllFrequencies* frequencies, const CpuOutputs* outputs, unsigned begin,
               unsigned end) {
  const FloatEnvironment ieee;
  std::optional<ComputedAngles> angles;
  if (frequencies) angles.emplace(spec, *frequencies);
  ComputedAngles* const computed = angles ? &*angles : nullptr;
  const float inv_head_dim = 1.0f / static_cast<float>(spec.head_dim);
  const Divisor by_heads = Divisor::of(params.q.heads + params.k.heads);
  const auto run = [&](const RowView& view, RowOutput output) {
    const bool is_q = output.tensor == Tensor::q;
    const Norm norm = is_q ? spec.q_norm : spec.k_norm;
    const Place place = find_place(spec, params, batches, is_q, view.token);
    output.sequence = place.sequence;
    if (!place.exists) return;
    if (norms_across_heads(spec)) {
      run_heads<kDType>(spec, place.params, computed, place.rows, norm, place.token, output);
    } else {
      run_row<kDType>(spec, place.params, computed, {place.rows, place.token, view.head}, norm,
                      inv_head_dim, output);
    }
  };
  for (unsigned unit = begin; unit < end; ++unit) {
    if (scales_tokens(spec)) {
      run_scaled_token(spec, params, outputs, unit, run);
      continue;
    }
    const RowView view = norms_across_heads(spec)
                             ? RowView{unit % 2 == 0 ? params.q : params.k, unit / 2, 0}
                             : find_row(params, unit, by_heads);
    run(view, {outputs, &view.rows == &params.q ? Tensor::q : Tensor::k});
  }
}

void run_range(const Spec& spec, const Params& params, const Batches* batches,
               const AllFrequencies* frequencies, const CpuOutputs* outputs, unsigned begin,
               unsigned end) {
  switch (spec.dtype) {
    case DType::bf16:
      return run_units<DType::bf16>(spec, params, batches, frequencies, outputs, begin, end);
    case DType::fp16:
      return run_units<DType::fp16>(spec, params, batches, frequencies, outputs, begin, end);
    case DType::fp32:
      return run_units<DType::fp32>(spec, params, batches, frequencies, outputs, begin, end);
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

void run_on_cpu(const Spec& spec, const Params& params, const Batches* batches, int threads,
                const AllFrequencies* frequencies, const CpuOutputs* outputs) {
  const std::uint64_t count = useful_threads(spec, params, threads);
  const std::uint64_t units = unit_count(spec, params);
  const auto boundary = [&](std::uint64_t i) { return static_cast<unsigned>(units * i / count); };
  // Threads live for one call: nothing lingers for the host to join, and a fork is harmless.
  std::vector<std::jthread> workers;
  workers.reserve(count - 1);
  for (std::uint64_t i = 1; i < count; ++i) {
    const auto work = [&, i] {
      run_range(spec, params, batches, frequencies, outputs, boundary(i), boundary(i + 1));
    };
    try {
      workers.emplace_back(work);
    } catch (const std::exception&) {
      work();  // the system gives no more threads: slower, never half done
    }
  }
  run_range(spec, params, batches, frequencies, outputs, 0, boundary(1));
}

}  // namespace qkjit
