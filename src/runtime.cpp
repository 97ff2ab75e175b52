#include "runtime.hpp"

#include "cpu/cpu_path.hpp"
#include "kernels/generic_params.cuh"
#include "kernels/tile.cuh"
#include "spec/names.hpp"
#include "spec/text.hpp"
#include "util/embedded_file.hpp"

namespace qkjit {
namespace {

Grid fused_grid(const Spec& spec, unsigned rows) {
  const Variant variant = default_variant(spec);
  const auto rows_per_block = static_cast<unsigned>(variant.threads / variant.lanes);
  return {(rows + rows_per_block - 1) / rows_per_block, static_cast<unsigned>(variant.threads)};
}

Grid generic_grid(unsigned rows) {
  return {(rows + kGenericRowsPerBlock - 1) / kGenericRowsPerBlock, kGenericThreads};
}

/// The pointers of a call that is not empty, by name.
std::array<std::pair<const char*, const void*>, 8> pointers(const Params& p) {
  return {{{"q", p.q.in},
           {"k", p.k.in},
           {"q_out", p.q.out},
           {"k_out", p.k.out},
           {"q_weight", p.q.weight},
           {"k_weight", p.k.weight},
           {"cos_sin_cache", p.cos_sin_cache},
           {"positions", p.positions}}};
}

}  // namespace

Runtime::Runtime(RuntimeOptions options)
    : options_(std::move(options)), jit_(options_.jit, options_.log) {}

Result<const Driver*> Runtime::driver() {
  std::call_once(driver_opened_, [this] { driver_ = Driver::open(); });
  if (!driver_) return tl::unexpected(driver_.error());
  return driver_->get();
}

Result<std::shared_ptr<const Kernel>> Runtime::compile(const Spec& spec,
                                                       const std::string& target) {
  const auto support = supports(spec);
  if (!support) return tl::unexpected(support.error());
  if (support->dispatch.path != Path::fused) return fail(Code::unsupported, "{}", support->text);
  if (target.starts_with("compute_")) {
    return fail(Code::invalid_argument, "target '{}' names no GPU: use sm_{}", target,
                target.substr(sizeof("compute_") - 1));
  }
  auto kernel = jit_.obtain(spec, target);
  if (!kernel) return tl::unexpected(kernel.error().error);
  return std::move(*kernel);
}

Result<void> Runtime::prepare_for(const Spec& spec, const std::string& target) {
  const auto support = supports(spec);
  if (!support) return tl::unexpected(support.error());
  if (support->dispatch.path != Path::fused) return {};
  const auto kernel = compile(spec, target);
  return kernel ? Result<void>{} : tl::unexpected(kernel.error());
}

Result<void> Runtime::prepare(const Spec& spec) {
  const auto support = supports(spec);
  if (!support) return tl::unexpected(support.error());
  const auto cuda = driver();
  if (!cuda) return tl::unexpected(cuda.error());
  const auto device = (*cuda)->current_device();
  if (!device) return tl::unexpected(device.error());
  const bool is_fused = support->dispatch.path == Path::fused;
  const auto entry = is_fused ? fused_kernel(**cuda, spec, *device, nullptr)
                              : generic_kernel(**cuda, spec.dtype, *device, nullptr);
  if (!entry) return tl::unexpected(entry.error());
  if (!(*entry)->kernel) return tl::unexpected((*entry)->error);
  return {};
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
  // A driver that this process has not loaded cannot own any of the pointers.
  if (const auto cuda = Driver::open_if_loaded()) {
    for (const auto& [name, pointer] : pointers(op->params)) {
      if (!pointer || cuda->memory_kind(pointer) != MemoryKind::device_only) continue;
      return fail(
          Code::invalid_argument,
          "{} is device memory, but the stream is QKJIT_STREAM_HOST: pass a CUDA stream, or copy "
          "the tensor to the host",
          name);
    }
  }
  if (auto checked = check_positions(*op); !checked) return tl::unexpected(checked.error());
  run_on_cpu(op->spec, op->params, options_.cpu_threads);
  return count({Path::cpu, Reason::host_memory});
}

Result<void> Runtime::check_memory(const Driver& driver, const Operation& op) const {
  for (const auto& [name, pointer] : pointers(op.params)) {
    if (!pointer || driver.memory_kind(pointer) != MemoryKind::host_only) continue;
    return fail(Code::invalid_argument,
                "{} is host memory, but the stream is a CUDA stream: copy it to the device, or use "
                "QKJIT_STREAM_HOST with all tensors in host memory",
                name);
  }
  return {};
}

Result<Dispatch> Runtime::launch(const qkjit_args& args, Stream stream) {
  const auto op = check_args(args);
  if (!op) return tl::unexpected(op.error());
  if (op->tokens == 0) return Dispatch{};
  const auto cuda = driver();
  if (!cuda) return tl::unexpected(cuda.error());
  const Driver& driver = **cuda;
  const auto device = driver.current_device();
  if (!device) return tl::unexpected(device.error());
  if (auto checked = check_memory(driver, *op); !checked) return tl::unexpected(checked.error());

  if (op->requested == Path::generic) {
    return launch_generic(driver, *op, *device, stream, Reason::requested);
  }
  if (op->support.dispatch.path != Path::fused) {
    return launch_generic(driver, *op, *device, stream, Reason::shape, op->support.text);
  }
  if (!op->aligned) return launch_generic(driver, *op, *device, stream, Reason::alignment);
  const auto entry = fused_kernel(driver, op->spec, *device, stream);
  if (!entry) return tl::unexpected(entry.error());
  if (!(*entry)->kernel) {
    return launch_generic(driver, *op, *device, stream, (*entry)->reason, (*entry)->error.message);
  }
  const Grid grid = fused_grid(op->spec, op->params.row_count);
  if (auto done = driver.launch(*(*entry)->kernel, grid, stream, &op->params); !done) {
    return tl::unexpected(done.error());
  }
  return count({Path::fused, Reason::none});
}

Result<Dispatch> Runtime::launch_generic(const Driver& driver, const Operation& op, int device,
                                         Stream stream, Reason reason, const std::string& detail) {
  if (reason != Reason::requested && (options_.strict || op.requested == Path::fused)) {
    return fail(Code::unsupported, "{} has no fused path here ({}), and a fallback is refused: {}",
                to_text(op.spec), name_of(reason), detail.empty() ? sentence_of(reason) : detail);
  }
  const auto entry = generic_kernel(driver, op.spec.dtype, device, stream);
  if (!entry) return tl::unexpected(entry.error());
  if (!(*entry)->kernel) return tl::unexpected((*entry)->error);
  const GenericParams params{op.params, op.spec, 1.0f / static_cast<float>(op.spec.head_dim)};
  if (auto done =
          driver.launch(*(*entry)->kernel, generic_grid(op.params.row_count), stream, &params);
      !done) {
    return tl::unexpected(done.error());
  }
  if (reason_counts_[static_cast<std::size_t>(reason)] == 0 && reason != Reason::requested) {
    options_.log->warn("{} is served by the generic kernel ({}): {}", to_text(op.spec),
                       name_of(reason), detail.empty() ? sentence_of(reason) : detail);
  }
  return count({Path::generic, reason});
}

Result<const TableEntry*> Runtime::fused_kernel(const Driver& driver, const Spec& spec, int device,
                                                Stream stream) {
  const auto key = KernelTable::fused_key(spec, device);
  if (const TableEntry* entry = table_.find(key)) return entry;
  const auto capturing = driver.is_capturing(stream);
  if (!capturing) return tl::unexpected(capturing.error());
  static const TableEntry kCapturing{
      {},
      Reason::stream_capturing,
      {Code::not_ready, "call qkjit_prepare() before the capture begins"}};
  if (*capturing) return &kCapturing;
  return table_.insert(key, load_fused(driver, spec, device));
}

TableEntry Runtime::load_fused(const Driver& driver, const Spec& spec, int device) {
  const auto target = driver.target(device);
  if (!target) return {{}, Reason::compile_failed, target.error()};
  const KernelResult kernel = jit_.obtain(spec, *target);
  if (!kernel) return {{}, kernel.error().reason, kernel.error().error};
  const std::lock_guard lock(loading_);
  auto loaded = driver.load((*kernel)->cubin, (*kernel)->entry);
  if (!loaded) return {{}, Reason::compile_failed, loaded.error()};
  return {std::move(*loaded), Reason::none, {Code::ok, {}}};
}

Result<const TableEntry*> Runtime::generic_kernel(const Driver& driver, DType dtype, int device,
                                                  Stream stream) {
  const auto key = KernelTable::generic_key(dtype, device);
  if (const TableEntry* entry = table_.find(key)) return entry;
  const auto capturing = driver.is_capturing(stream);
  if (!capturing) return tl::unexpected(capturing.error());
  if (*capturing) {
    return fail(
        Code::not_ready,
        "the stream is capturing and no kernel for this call is loaded: call qkjit_prepare() with "
        "its spec before the capture begins");
  }
  const std::lock_guard lock(loading_);
  auto loaded =
      driver.load(embedded_ptx().front().text, fmt::format("qkjit_generic_{}", name_of(dtype)));
  if (!loaded) return tl::unexpected(loaded.error());
  return table_.insert(key, {std::move(*loaded), Reason::none, {Code::ok, {}}});
}

Dispatch Runtime::count(Dispatch dispatch) {
  path_counts_[static_cast<std::size_t>(dispatch.path)].fetch_add(1, std::memory_order_relaxed);
  reason_counts_[static_cast<std::size_t>(dispatch.reason)].fetch_add(1, std::memory_order_relaxed);
  return dispatch;
}

Stats Runtime::stats() const {
  Stats stats{};
  for (std::size_t i = 0; i < stats.paths.size(); ++i) stats.paths[i] = path_counts_[i];
  for (std::size_t i = 0; i < stats.reasons.size(); ++i) stats.reasons[i] = reason_counts_[i];
  const JitCounters& counters = jit_.counters();
  stats.compiled = counters.compiled;
  stats.cache_hits = counters.cache_hits;
  stats.cache_rejected = counters.cache_rejected;
  stats.failed = counters.failed;
  return stats;
}

}  // namespace qkjit
