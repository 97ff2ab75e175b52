#include "runtime.hpp"

#include <algorithm>
#include <filesystem>

#include "call_cache.hpp"
#include "cpu/copy.hpp"
#include "cpu/cpu_path.hpp"
#include "op/geometry.hpp"
#include "spec/names.hpp"
#include "spec/text.hpp"
#include "spec/variant.hpp"
#include "tuning/builtin.hpp"

namespace qkjit {
namespace {

/// The pointers of a call that is not empty, by name.
std::array<std::pair<std::string_view, const void*>, 20> pointers(const Operation& op) {
  const Params& p = op.params;
  const bool is_paged = op.spec.cache == Cache::paged;
  return {{{"q", p.q.in},
           {"k", p.k.in},
           {"q_out", p.q.out},
           {is_paged ? "k_cache" : "k_out", p.k.out},
           {"q_weight", p.q.weight},
           {"k_weight", p.k.weight},
           {"q_bias", p.q.bias},
           {"k_bias", p.k.bias},
           {op.table_names[0], p.cosines},
           {op.table_names[1], p.sines},
           {"positions", p.positions},
           {"k_positions", op.batches.k.positions},
           {"v", op.v.rows.in},
           {is_paged ? "v_cache" : "v_out", op.v.rows.out},
           {"segment_offsets", p.segments.offsets},
           {"position_error", p.position_error},
           {"q_scale", op.outputs.q.data},
           {"k_scale", op.outputs.k.data},
           {"v_scale", op.outputs.v.data},
           {"slot_mapping", op.outputs.slots}}};
}

std::uint64_t next_number() {
  static std::atomic<std::uint64_t> number{0};
  return ++number;
}

}  // namespace

std::vector<std::filesystem::path> tuning_directories(const JitOptions& options) {
  std::vector<std::filesystem::path> directories;
  if (options.writable && options.writable->check_usable()) {
    directories.push_back(options.writable->path());
  }
  for (const ReadOnlyDirectory& layer : options.read_only) {
    if (!layer.needs_signature() && layer.check_usable()) directories.push_back(layer.path());
  }
  return directories;
}

Runtime::Runtime(RuntimeOptions options)
    : number_(next_number()),
      options_(std::move(options)),
      jit_(options_.jit, options_.log),
      loader_(jit_, tuning_directories(options_.jit), options_.log) {}

Result<const Driver*> Runtime::driver() {
  if (const Driver* open = open_driver_.load(std::memory_order_acquire)) return open;
  std::call_once(driver_opened_, [this] {
    driver_ = Driver::open();
    if (driver_) open_driver_.store(driver_->get(), std::memory_order_release);
  });
  if (!driver_) return tl::unexpected(driver_.error());
  return driver_->get();
}

Result<std::shared_ptr<const Kernel>> Runtime::compile(const Spec& spec,
                                                       const std::string& target) {
  if (auto fused = require_fused(spec); !fused) return tl::unexpected(fused.error());
  return compile(spec, builtin_choices(spec, target).front().variant, target);
}

Result<std::shared_ptr<const Kernel>> Runtime::compile(const Spec& spec, const Variant& variant,
                                                       const std::string& target) {
  if (auto fused = require_fused(spec); !fused) return tl::unexpected(fused.error());
  if (auto named = check_names_gpu(target); !named) return tl::unexpected(named.error());
  if (auto checked = check_variant(spec, variant, target); !checked) {
    return tl::unexpected(checked.error());
  }
  auto kernel = jit_.obtain(spec, variant, target);
  if (!kernel) return tl::unexpected(kernel.error().error);
  return std::move(*kernel);
}

Result<void> Runtime::prepare_for(const Spec& spec, const std::string& target) {
  const auto support = supports(spec);
  if (!support) return tl::unexpected(support.error());
  if (support->dispatch.path != Path::fused) return {};
  for (const Choice& choice : builtin_choices(spec, target)) {
    const auto kernel = compile(spec, choice.variant, target);
    if (!kernel) return tl::unexpected(kernel.error());
  }
  return {};
}

Result<void> Runtime::prepare(const Spec& spec) {
  if (const auto support = supports(spec); !support) return tl::unexpected(support.error());
  const auto cuda = driver();
  if (!cuda) return tl::unexpected(cuda.error());
  const auto device = (*cuda)->current_device();
  if (!device) return tl::unexpected(device.error());
  return loader_.prepare(**cuda, spec, *device);
}

Result<Dispatch> Runtime::launch_on_host(const qkjit_args& args) {
  const auto op = check_args(args);
  if (!op) return tl::unexpected(op.error());
  if (op->requested != Path::none) {
    return fail(Code::unsupported,
                "path={} needs device memory and a CUDA stream, not QKJIT_STREAM_HOST",
                name_of(op->requested));
  }
  if (op->tokens == 0) return Dispatch{};
  if (auto checked = check_host_memory(*op); !checked) return tl::unexpected(checked.error());
  return run_on_host(*op);
}

Dispatch Runtime::run_on_host(const Operation& op) {
  const CpuOutputs outputs{op.params, op.batches, op.v, op.outputs};
  run_on_cpu(op.spec, op.params, op.batches_apart(), options_.cpu_threads, op.frequencies.get(),
             &outputs);
  if (op.v.rows.heads > 0) copy_on_cpu(op.spec, op.sequences(), outputs);
  return count({Path::cpu, Reason::host_memory});
}

/// Positions too, which can be read there.
Result<void> Runtime::check_host_memory(const Operation& op) {
  // A driver that this process has not loaded cannot own any of the pointers.
  if (const auto cuda = Driver::open_if_loaded()) {
    for (const auto& [name, pointer] : pointers(op)) {
      if (!pointer || cuda->memory_kind(pointer) != MemoryKind::device_only) continue;
      return fail(
          Code::invalid_argument,
          "{} is device memory, but the stream is QKJIT_STREAM_HOST: pass a CUDA stream, or copy "
          "the tensor to the host",
          name);
    }
  }
  if (auto checked = check_slots(op); !checked) return checked;
  return check_positions(op);
}

Result<void> Runtime::check_memory(const Driver& driver, const Operation& op) {
  for (const auto& [name, pointer] : pointers(op)) {
    if (!pointer || device_pages_.contains(pointer)) continue;
    const auto kind = driver.memory_kind(pointer);
    if (!kind) return tl::unexpected(kind.error());
    if (*kind == MemoryKind::device_only) device_pages_.add(pointer);
    if (*kind != MemoryKind::host_only) continue;
    return fail(Code::invalid_argument,
                "{} is host memory, but the stream is a CUDA stream: copy it to the device, or use "
                "QKJIT_STREAM_HOST with all tensors in host memory",
                name);
  }
  return {};
}

Result<Dispatch> Runtime::launch(const qkjit_args& args, Stream stream) {
  CallCache& calls = CallCache::of_this_thread();
  if (const Driver* open = open_driver_.load(std::memory_order_acquire)) {
    const auto device = open->current_device();
    const ReadyCall* ready = device ? calls.find(number(), *device, {&args}) : nullptr;
    if (ready) return launch_ready(*open, *ready->kernel, ready->launch, stream);
  }

  const auto op = check_args(args);
  if (!op) return tl::unexpected(op.error());
  if (op->tokens == 0) return Dispatch{};
  const auto cuda = driver();
  if (!cuda) return tl::unexpected(cuda.error());
  const Driver& driver = **cuda;
  const auto device = driver.current_device();
  if (!device) return tl::unexpected(device.error());
  if (auto checked = check_memory(driver, *op); !checked) return tl::unexpected(checked.error());

  const auto planned = plan(driver, *op, *device, stream, if_missing());
  if (!planned) return tl::unexpected(planned.error());
  const auto* fused = std::get_if<FusedLaunch>(&planned->launch);
  if (fused && !planned->is_stand_in)
    calls.keep(number(), *device, {&args}, *planned->kernel, *fused);
  return run(driver, *planned, stream);
}

/// In a launch.
IfMissing Runtime::if_missing() const {
  const bool in_background = jit_.options().compile == CompilePolicy::background;
  return in_background ? IfMissing::queue : IfMissing::wait;
}

Result<Runtime::Planned> Runtime::plan(const Driver& driver, const Operation& op, int device,
                                       Stream stream, IfMissing missing) {
  if (op.requested == Path::generic) {
    return plan_generic(driver, op, device, stream, Reason::requested);
  }
  if (op.support.dispatch.path != Path::fused) {
    return plan_generic(driver, op, device, stream, op.support.dispatch.reason, op.support.text);
  }
  if (!op.aligned) return plan_generic(driver, op, device, stream, Reason::alignment);
  const auto kernel = loader_.fused(driver, op, device, stream, missing);
  if (!kernel) {
    const auto& [reason, error] = kernel.error();
    if (reason == Reason::none) return tl::unexpected(error);
    return plan_generic(driver, op, device, stream, reason, error.message);
  }
  return Planned{kernel->loaded,
                 fused_launch(op, kernel->variant),
                 {Path::fused, Reason::none},
                 kernel->is_stand_in};
}

Result<Dispatch> Runtime::run(const Driver& driver, const Planned& planned, Stream stream) {
  const auto launch = [&](const auto& call) {
    return driver.launch(*planned.kernel, call.grid, stream, &call.params, call.frequencies.get());
  };
  if (auto done = std::visit(launch, planned.launch); !done) return tl::unexpected(done.error());
  return count(planned.dispatch);
}

Result<Dispatch> Runtime::launch_ready(const Driver& driver, const LoadedKernel& kernel,
                                       const FusedLaunch& launch, Stream stream) {
  const void* const frequencies = launch.frequencies.get();
  if (auto done = driver.launch(kernel, launch.grid, stream, &launch.params, frequencies); !done) {
    return tl::unexpected(done.error());
  }
  return count({Path::fused, Reason::none});
}

Result<FusedKernel> Runtime::chosen_kernel(const Operation& op) {
  const auto cuda = driver();
  if (!cuda) return tl::unexpected(cuda.error());
  const auto device = (*cuda)->current_device();
  if (!device) return tl::unexpected(device.error());
  const auto kernel = loader_.fused(**cuda, op, *device, nullptr, IfMissing::wait);
  if (!kernel) return tl::unexpected(kernel.error().error);
  return *kernel;
}

Result<Runtime::Planned> Runtime::plan_generic(const Driver& driver, const Operation& op,
                                               int device, Stream stream, Reason reason,
                                               const std::string& detail) {
  if (reason != Reason::requested && (options_.strict || op.requested == Path::fused)) {
    return fail(Code::unsupported, "{} has no fused path here ({}), and a fallback is refused: {}",
                to_text(op.spec), name_of(reason), detail.empty() ? sentence_of(reason) : detail);
  }
  const auto kernel = loader_.generic(driver, generic_spec(op), device, stream);
  if (!kernel) return tl::unexpected(kernel.error());
  if (reason_counts_[static_cast<std::size_t>(reason)] == 0 && reason != Reason::requested) {
    options_.log->warn("{} is served by the generic kernel ({}): {}", to_text(op.spec),
                       name_of(reason), detail.empty() ? sentence_of(reason) : detail);
  }
  return Planned{*kernel, generic_launch(op), {Path::generic, reason}, false};
}

Dispatch Runtime::count(Dispatch dispatch) {
  path_counts_[static_cast<std::size_t>(dispatch.path)].fetch_add(1, std::memory_order_relaxed);
  reason_counts_[static_cast<std::size_t>(dispatch.reason)].fetch_add(1, std::memory_order_relaxed);
  return dispatch;
}

Result<void> Runtime::wait_idle(std::optional<std::chrono::milliseconds> limit) {
  if (loader_.background().wait_idle(limit)) return {};
  return fail(
      Code::not_ready,
      "{} kernels are still compiled in the background, or queued, after {} ms: wait longer",
      loader_.background().counts().pending, limit->count());
}

Stats Runtime::stats() const {
  Stats stats{};
  for (std::size_t i = 0; i < stats.paths.size(); ++i) stats.paths[i] = path_counts_[i];
  for (std::size_t i = 0; i < stats.reasons.size(); ++i) stats.reasons[i] = reason_counts_[i];
  const JitCounters& counters = jit_.counters();
  stats.compiled = counters.compiled;
  stats.cache_hits = counters.cache_hits();
  stats.cache_rejected = counters.cache_rejected;
  stats.failed = counters.failed + loader_.failed();
  stats.requests = counters.requests, stats.misses = counters.misses;
  stats.memory_hits = counters.memory_hits, stats.writable_hits = counters.writable_hits;
  stats.read_only_hits = counters.read_only_hits, stats.further_hits = counters.further_hits;
  stats.lock_waits = counters.lock_waits;
  const WorkerPool::Counts jobs = loader_.background().counts();
  stats.background_pending = jobs.pending, stats.background_done = jobs.done;
  stats.cache_read_ms = counters.cache_read.milliseconds();
  stats.compile_ms = counters.compile.milliseconds();
  stats.front_end_ms = counters.front_end.milliseconds();
  stats.load_ms = loader_.load_time().milliseconds();
  return stats;
}

}  // namespace qkjit
