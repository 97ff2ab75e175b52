#include "runtime.hpp"

#include <algorithm>
#include <filesystem>
#include <future>

#include "call_cache.hpp"
#include "codegen/source.hpp"
#include "cpu/cpu_path.hpp"
#include "op/geometry.hpp"
#include "spec/names.hpp"
#include "spec/text.hpp"
#include "spec/variant.hpp"
#include "tuning/builtin.hpp"
#include "util/embedded_file.hpp"

namespace qkjit {
namespace {

/// The pointers of a call that is not empty, by name.
std::array<std::pair<std::string_view, const void*>, 9> pointers(const Operation& op) {
  const Params& p = op.params;
  return {{{"q", p.q.in},
           {"k", p.k.in},
           {"q_out", p.q.out},
           {"k_out", p.k.out},
           {"q_weight", p.q.weight},
           {"k_weight", p.k.weight},
           {op.table_names[0], p.cosines},
           {op.table_names[1], p.sines},
           {"positions", p.positions}}};
}

std::uint64_t next_number() {
  static std::atomic<std::uint64_t> number{0};
  return ++number;
}

std::vector<std::filesystem::path> cache_directories(const JitOptions& options) {
  std::vector<std::filesystem::path> directories;
  if (options.writable) directories.push_back(options.writable->path());
  for (const CacheDirectory& layer : options.read_only) directories.push_back(layer.path());
  return directories;
}

}  // namespace

Runtime::Runtime(RuntimeOptions options)
    : number_(next_number()),
      options_(std::move(options)),
      jit_(options_.jit, options_.log),
      tuning_(cache_directories(options_.jit), options_.log) {}

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
  if (target.starts_with("compute_")) {
    return fail(Code::invalid_argument, "target '{}' names no GPU: use sm_{}", target,
                target.substr(sizeof("compute_") - 1));
  }
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
  const auto support = supports(spec);
  if (!support) return tl::unexpected(support.error());
  const auto cuda = driver();
  if (!cuda) return tl::unexpected(cuda.error());
  const auto device = (*cuda)->current_device();
  if (!device) return tl::unexpected(device.error());
  const bool is_fused = support->dispatch.path == Path::fused;
  const auto entry = is_fused ? fused_kernel(**cuda, spec, *device, nullptr)
                              : generic_kernel(**cuda, spec, *device, nullptr);
  if (!entry) return tl::unexpected(entry.error());
  if ((*entry)->kernels.empty()) return tl::unexpected((*entry)->error);
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
    for (const auto& [name, pointer] : pointers(*op)) {
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
    const ReadyCall* ready = device ? calls.find(number_, *device, args) : nullptr;
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

  if (op->requested == Path::generic) {
    return launch_generic(driver, *op, *device, stream, Reason::requested);
  }
  if (op->support.dispatch.path != Path::fused) {
    return launch_generic(driver, *op, *device, stream, Reason::shape, op->support.text);
  }
  if (!op->aligned) return launch_generic(driver, *op, *device, stream, Reason::alignment);
  const auto entry = fused_kernel(driver, op->spec, *device, stream);
  if (!entry) return tl::unexpected(entry.error());
  if ((*entry)->kernels.empty()) {
    return launch_generic(driver, *op, *device, stream, (*entry)->reason, (*entry)->error.message);
  }
  const TableKernel& chosen =
      choose((*entry)->kernels, op->bytes, op->without_gaps, &TableKernel::choice);
  const FusedLaunch launch = fused_launch(*op, chosen.choice.variant);
  calls.keep(number_, *device, args, chosen, launch);
  return launch_ready(driver, chosen, launch, stream);
}

Result<Dispatch> Runtime::launch_ready(const Driver& driver, const TableKernel& kernel,
                                       const FusedLaunch& launch, Stream stream) {
  if (auto done = driver.launch(kernel.kernel, launch.grid, stream, &launch.params); !done) {
    return tl::unexpected(done.error());
  }
  return count({Path::fused, Reason::none});
}

Result<TableKernel> Runtime::chosen_kernel(const Operation& op) {
  const auto cuda = driver();
  if (!cuda) return tl::unexpected(cuda.error());
  const auto device = (*cuda)->current_device();
  if (!device) return tl::unexpected(device.error());
  const auto entry = fused_kernel(**cuda, op.spec, *device, nullptr);
  if (!entry) return tl::unexpected(entry.error());
  if ((*entry)->kernels.empty()) return tl::unexpected((*entry)->error);
  return choose((*entry)->kernels, op.bytes, op.without_gaps, &TableKernel::choice);
}

Result<Dispatch> Runtime::launch_generic(const Driver& driver, const Operation& op, int device,
                                         Stream stream, Reason reason, const std::string& detail) {
  if (reason != Reason::requested && (options_.strict || op.requested == Path::fused)) {
    return fail(Code::unsupported, "{} has no fused path here ({}), and a fallback is refused: {}",
                to_text(op.spec), name_of(reason), detail.empty() ? sentence_of(reason) : detail);
  }
  const auto entry = generic_kernel(driver, op.spec, device, stream);
  if (!entry) return tl::unexpected(entry.error());
  const GenericLaunch launch = generic_launch(op);
  const LoadedKernel& kernel = (*entry)->kernels.front().kernel;
  if (auto done = driver.launch(kernel, launch.grid, stream, &launch.params); !done) {
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
  auto loaded = load_fused(driver, spec, device);
  if (!loaded) return tl::unexpected(loaded.error());
  return table_.insert(key, std::move(*loaded));
}

Result<Choices> Runtime::device_choices(const Driver& driver, const Spec& spec, int device) {
  const auto target = driver.target(device);
  if (!target) return tl::unexpected(target.error());
  const auto name = driver.device_name(device);
  if (!name) return tl::unexpected(name.error());
  return tuning_.choices(spec, *name, *target);
}

/// Without kernels if there is no code to be had, which stays so; an error if the driver cannot
/// load it, which may pass.
Result<TableEntry> Runtime::load_fused(const Driver& driver, const Spec& spec, int device) {
  const auto target = driver.target(device);
  if (!target) return tl::unexpected(target.error());
  const auto chosen = device_choices(driver, spec, device);
  if (!chosen) return tl::unexpected(chosen.error());
  auto entry = load_choices(driver, spec, *chosen, *target);
  // What was tuned here may not have been precompiled elsewhere.
  const Choices builtin = builtin_choices(spec, *target);
  if (!entry || entry->kernels.size() == chosen->size() || *chosen == builtin) return entry;
  auto other = load_choices(driver, spec, builtin, *target);
  return other && other->kernels.size() > entry->kernels.size() ? std::move(other) : entry;
}

/// The first choice's kernel, or the reason or error why there is none, and those of the others as
/// far as they can be had: without one, another serves its calls, slower.
Result<TableEntry> Runtime::load_choices(const Driver& driver, const Spec& spec,
                                         const Choices& choices, const std::string& target) {
  // At once, where threads can be had: they compile in parallel.
  constexpr auto kIfPossible = std::launch::async | std::launch::deferred;
  std::vector<std::future<KernelResult>> obtained;
  for (const Choice& choice : choices) {
    obtained.push_back(
        std::async(choices.size() > 1 ? kIfPossible : std::launch::deferred,
                   [&, choice] { return jit_.obtain(spec, choice.variant, target); }));
  }
  TableEntry entry;
  for (std::size_t i = 0; i < choices.size(); ++i) {
    const KernelResult kernel = obtained[i].get();
    if (!kernel && i == 0) return TableEntry{{}, kernel.error().reason, kernel.error().error};
    auto loaded = kernel ? load(driver, **kernel)
                         : Result<LoadedKernel>(tl::unexpected(kernel.error().error));
    if (!loaded && i == 0) return tl::unexpected(loaded.error());
    if (loaded) {
      entry.kernels.push_back({choices[i], std::move(*loaded)});
    } else {
      options_.log->warn("{} goes without its kernel for {} bytes and more ({}): {}", to_text(spec),
                         choices[i].from_bytes, to_text(choices[i].variant),
                         loaded.error().message);
    }
  }
  return entry;
}

Result<LoadedKernel> Runtime::load(const Driver& driver, const Kernel& kernel) {
  const std::lock_guard lock(loading_);
  return driver.load(kernel.cubin, kernel.entry);
}

Result<const TableEntry*> Runtime::generic_kernel(const Driver& driver, const Spec& spec,
                                                  int device, Stream stream) {
  const int slots = generic_slots(spec);
  const auto key = KernelTable::generic_key(spec.dtype, slots, device);
  if (const TableEntry* entry = table_.find(key)) return entry;
  const auto capturing = driver.is_capturing(stream);
  if (!capturing) return tl::unexpected(capturing.error());
  if (*capturing) {
    return fail(
        Code::not_ready,
        "the stream is capturing and no kernel for this call is loaded: call qkjit_prepare() with "
        "its spec before the capture begins");
  }
  const auto target = driver.target(device);
  if (!target) return tl::unexpected(target.error());
  const int capability =
      kGenericCapabilities[compute_capability(*target) >= kGenericCapabilities[1]];
  const std::string file = generic_file(spec.dtype, slots, capability);
  const auto code = std::ranges::find(embedded_ptx(), file, &EmbeddedFile::name);
  const std::lock_guard lock(loading_);
  auto loaded = driver.load(code->text, generic_entry(spec.dtype, slots));
  if (!loaded) return tl::unexpected(loaded.error());
  TableEntry entry;
  entry.kernels.push_back({{}, std::move(*loaded)});
  return table_.insert(key, std::move(entry));
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
