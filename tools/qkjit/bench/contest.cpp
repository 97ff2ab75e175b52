#include "tools/qkjit/bench/contest.hpp"

#include <algorithm>
#include <tuple>

#include "op/geometry.hpp"
#include "op/tensor.hpp"
#include "spec/text.hpp"
#include "tools/qkjit/bench/device_call.hpp"
#include "tools/qkjit/bench/outputs.hpp"

namespace qkjit::bench {
namespace {

constexpr std::size_t kMegabyte = 1'000'000;
constexpr std::size_t kLeastRotatedBytes = 600 * kMegabyte;
constexpr std::size_t kPatternBytes = 16 * kMegabyte;
constexpr std::size_t kFewestLaunches = 20, kMostLaunches = 200;
constexpr unsigned kWarmUpRounds = 1000;  // some 150 ms
constexpr std::size_t kMostRounds = 256;  // some 100 us, for sets of a few kilobytes

double moved_bytes(const Case& wanted, const PositionData& positions) {
  const Spec& spec = wanted.spec;
  const bool twice = spec.table_width == TableWidth::elements ||
                     (spec.table_width == TableWidth::full && spec.layout == Layout::interleaved);
  const double rows =
      spec.angles == Angles::computed ? 0 : static_cast<double>(positions.distinct_rows);
  const int heads = has_head_tables(spec) ? std::max(wanted.heads_q, wanted.heads_k) : 1;
  const double table = rows * spec.rope_dim * heads * size_of(spec.table) * (twice ? 2 : 1);
  const int of_q = has_weight(spec, spec.q_norm) + has_bias(spec, spec.q_norm);
  const int of_k = has_weight(spec, spec.k_norm) + has_bias(spec, spec.k_norm);
  const double weights = static_cast<double>(of_q * weight_length(spec, wanted.heads_q) +
                                             of_k * weight_length(spec, wanted.heads_k)) *
                         size_of(dtype_of_weights(spec));
  return 2.0 * static_cast<double>(qk_bytes(wanted)) + table + weights +
         static_cast<double>(positions.array.size()) + bytes_beyond_copy(wanted);
}

}  // namespace

Result<Placement> Method::place(const Case& wanted) const {
  return bench::place(wanted, resident ? 0 : rotated_bytes, kMostLaunches);
}

Method method_for(std::size_t l2_bytes, int replays, bool resident) {
  return {replays, resident, std::max(kLeastRotatedBytes, 10 * l2_bytes)};
}

Contest::Contest(Runtime& runtime, const Workspace& gpu, const Method& method,
                 Contenders contenders, DeviceBuffer pool)
    : runtime_(runtime),
      gpu_(gpu),
      method_(method),
      contenders_(std::move(contenders)),
      pool_(std::move(pool)),
      base_(static_cast<std::byte*>(pool_.data())),
      pattern_(random_pattern(kPatternBytes)) {}

Result<Contest> Contest::open(Runtime& runtime, const Workspace& gpu, const Method& method,
                              const std::vector<Case>& cases, const std::string& target) {
  const auto nvrtc = runtime.jit().compiler();
  if (!nvrtc) return tl::unexpected(nvrtc.error());
  auto contenders = Contenders::compile(**nvrtc, gpu, target);
  if (!contenders) return tl::unexpected(contenders.error());
  std::size_t bytes = method.rotated_bytes;
  for (const Case& wanted : cases) {
    const auto placement = method.place(wanted);
    if (!placement) return tl::unexpected(placement.error());
    bytes = std::max(bytes, placement->end);
  }
  auto pool = DeviceBuffer::allocate(gpu.driver(), bytes);
  if (!pool) {
    return fail(pool.error().code,
                "{} MB of device memory are needed for the largest case: {}; choose others with "
                "--group or --case",
                bytes / kMegabyte, pool.error().message);
  }
  // A GPU that was idle runs at low clocks at first.
  auto warmed = contenders->sweep(pool->data(), method.rotated_bytes, kWarmUpRounds);
  if (warmed) warmed = gpu.synchronize();
  if (!warmed) return tl::unexpected(warmed.error());
  return Contest(runtime, gpu, method, std::move(*contenders), std::move(*pool));
}

Contest::Launch Contest::copy(const Case& wanted, const Placement& placement) const {
  return [this, &wanted, &placement](std::size_t set) {
    return contenders_.copy(copy_of(wanted, placement, base_, set));
  };
}

Contest::Launch Contest::operation(const Case& wanted, const Placement& placement,
                                   const qkjit_spec& spec, Path path) const {
  return [=, this, &wanted, &placement](std::size_t set) -> Result<void> {
    qkjit_args args = args_of(wanted, placement, spec, base_, set);
    args.path = static_cast<qkjit_path>(path);
    const auto done = runtime_.launch(args, gpu_.stream());
    return done ? Result<void>{} : tl::unexpected(done.error());
  };
}

Result<Contest::Launch> Contest::split(const Case& wanted, const Placement& placement) const {
  if (wanted.spec.rope_dim == 0 || !has_norm(wanted.spec)) {
    return fail(Code::unsupported, "only one of norm and rotation: there is nothing to split");
  }
  const auto norm = parse_c_spec(norm_only(wanted.spec)),
             rope = parse_c_spec(rope_only(wanted.spec));
  if (!norm) return tl::unexpected(norm.error());
  if (!rope) return tl::unexpected(rope.error());
  const Launch first = operation(wanted, placement, *norm, Path::fused);
  const Launch second = operation(wanted, placement, *rope, Path::fused);
  return [first, second](std::size_t set) {
    const auto done = first(set);
    return done ? second(set) : done;
  };
}

Result<Timing> Contest::time(const Placement& placement, const Launch& launch) const {
  const std::size_t launches =
      method_.resident ? kMostLaunches : std::clamp(placement.sets, kFewestLaunches, kMostLaunches);
  const auto enqueue = [&]() -> Result<void> {
    for (std::size_t i = 0; i < launches; ++i) {
      if (auto done = launch(i % placement.sets); !done) return done;
    }
    return {};
  };
  // Reading the pool pushes everything out of L2, also where there are too few launches in a graph
  // to do so; reading the one set over and over brings it in.
  const std::size_t swept = method_.resident ? placement.set_bytes : method_.rotated_bytes;
  const std::size_t rounds = std::clamp<std::size_t>(method_.rotated_bytes / swept, 1, kMostRounds);
  const auto times = gpu_.replay_times(enqueue, static_cast<int>(launches), method_.replays, [&] {
    return contenders_.sweep(base_, swept, static_cast<unsigned>(rounds));
  });
  if (!times) return tl::unexpected(times.error());
  return timing_of(*times);
}

Result<std::optional<Timing>> Contest::time_if_any(const Placement& placement, const char* name,
                                                   const Result<Launch>& launch,
                                                   CaseResult& result) const {
  // The first launch loads the kernels, which a capture would not.
  const Result<void> first = launch ? (*launch)(0) : tl::unexpected(launch.error());
  if (!first) {
    result.notes.push_back(fmt::format("no {}: {}", name, first.error().message));
    return std::nullopt;
  }
  const auto timing = time(placement, *launch);
  if (!timing) return tl::unexpected(timing.error());
  return *timing;
}

Result<CaseResult> Contest::run(const Case& wanted) {
  const auto placement = method_.place(wanted);
  if (!placement) return tl::unexpected(placement.error());
  const auto spec = parse_c_spec(to_text(wanted.spec));
  if (!spec) return tl::unexpected(spec.error());
  const PositionData positions = positions_of(wanted);
  CaseResult result;
  result.measured = wanted;
  result.qk_bytes = 2.0 * static_cast<double>(qk_bytes(wanted));
  result.moved_bytes = moved_bytes(wanted, positions);

  if (auto done = fill_pool(pool_, *placement, pattern_, positions, slots_of(wanted)); !done) {
    return tl::unexpected(done.error());
  }
  const auto dispatch =
      runtime_.launch(args_of(wanted, *placement, *spec, base_, 0), gpu_.stream());
  if (!dispatch) return tl::unexpected(dispatch.error());
  result.dispatch = *dispatch;

  const auto before = time(*placement, copy(wanted, *placement));
  if (!before) return tl::unexpected(before.error());
  result.copy_before = *before;
  const std::tuple<const char*, std::optional<Timing>*, Result<Launch>> contenders[] = {
      {"fused", &result.fused, operation(wanted, *placement, *spec, Path::fused)},
      {"split", &result.split, split(wanted, *placement)},
      {"generic", &result.generic, operation(wanted, *placement, *spec, Path::generic)}};
  for (const auto& [name, timing, launch] : contenders) {
    const auto timed = time_if_any(*placement, name, launch, result);
    if (!timed) return tl::unexpected(timed.error());
    *timing = *timed;
  }
  const auto after = time(*placement, copy(wanted, *placement));
  const auto empty = time(*placement, [this](std::size_t) { return contenders_.empty(); });
  if (!after) return tl::unexpected(after.error());
  if (!empty) return tl::unexpected(empty.error());
  result.copy_after = *after;
  result.empty = *empty;
  return result;
}

Result<Contest::Comparison> Contest::compare(const Case& wanted,
                                             std::span<const Candidate> candidates) {
  const auto placement = method_.place(wanted);
  if (!placement) return tl::unexpected(placement.error());
  const auto spec = parse_c_spec(to_text(wanted.spec));
  if (!spec) return tl::unexpected(spec.error());
  if (auto done = fill_pool(pool_, *placement, pattern_, positions_of(wanted), slots_of(wanted));
      !done) {
    return tl::unexpected(done.error());
  }
  const auto copied = time(*placement, copy(wanted, *placement));
  if (!copied) return tl::unexpected(copied.error());
  Comparison comparison{copied->median, {}};
  for (const Candidate& candidate : candidates) {
    const auto launch = [&](std::size_t set) -> Result<void> {
      const auto op = check_args(args_of(wanted, *placement, *spec, base_, set));
      if (!op) return tl::unexpected(op.error());
      const FusedLaunch call = fused_launch(*op, candidate.variant);
      return gpu_.driver()->launch(candidate.kernel, call.grid, gpu_.stream(), &call.params,
                                   call.frequencies.get());
    };
    const auto timing = time(*placement, launch);
    if (!timing) return tl::unexpected(timing.error());
    comparison.candidates.push_back(timing->median);
  }
  return comparison;
}

}  // namespace qkjit::bench
