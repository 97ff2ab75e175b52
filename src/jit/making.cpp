// How the Jit makes a kernel that it does not have: it reads the cache, waits for another process,
// compiles.
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>

#include "codegen/source.hpp"
#include "jit/compiles.hpp"
#include "jit/jit.hpp"
#include "jit/toolchain.hpp"
#include "spec/text.hpp"
#include "spec/variant.hpp"
#include "util/embedded_file.hpp"
#include "util/packed.hpp"

namespace qkjit {

bool Jit::may_compile() const {
  return options_.compile != CompilePolicy::never && !Compiling::was_cut_off();
}

/// Entries of this machine's compiler; of any, where it is not known or may not be used.
Wanted Jit::wanted() {
  if (was_opened_.load(std::memory_order_acquire)) {
    return {toolchain_, !compiler_ || !may_compile()};
  }
  std::call_once(toolchain_expected_, [this] {
    if (options_.find_compiler) expected_toolchain_ = toolchain_of(options_.find_compiler());
  });
  return {expected_toolchain_, expected_toolchain_.empty() || !may_compile()};
}

std::optional<Kernel> Jit::read(const Request& request, const Wanted& wanted, Reach reach,
                                std::vector<std::string>& causes) {
  const Timed timed(counters_.cache_read);
  auto found = cache_.find(request.key, wanted, reach,
                           [&](const LayerLookup& missed) { note(missed, causes); });
  if (!found) return std::nullopt;
  return hit(std::move(*found), request);
}

KernelResult Jit::obtain_anew(const Request& request) {
  const auto give = [](Kernel kernel) { return std::make_shared<const Kernel>(std::move(kernel)); };
  std::vector<std::string> causes;
  const Wanted expected = wanted();
  if (auto cached = read(request, expected, Reach::all, causes)) return give(std::move(*cached));
  const auto missed = [&] {
    ++counters_.misses;
    say_why(request, causes);
    return compile_if_allowed(request, "is in no cache directory");
  };
  if (!may_compile()) return missed();

  const FileLock lock = cache_.lock(request.key, options_.patience, request.stop);
  if (lock.has_waited()) ++counters_.lock_waits;
  if (lock.state() == FileLock::State::timed_out && !request.stop.stop_requested()) {
    log_->warn("another process has not compiled {} for {} within {} ms: compiling it here too",
               to_text(request.streams), request.target, options_.patience.count());
  }
  if (lock.state() == FileLock::State::held) {  // by another until now, perhaps
    const Timed timed(counters_.cache_read);
    const auto note_it = [&](const LayerLookup& layer) { note(layer, causes); };
    if (auto cached = cache_.find_own(request.key, expected, note_it)) {
      return give(hit(std::move(*cached), request));
    }
  }
  // Only the open compiler says for certain whose entries are wanted.
  if (!request.stop.stop_requested()) static_cast<void>(compiler());
  if (const Wanted certain = wanted(); certain != expected) {
    if (auto cached = read(request, certain, Reach::all, causes)) return give(std::move(*cached));
  }
  return missed();
}

Kernel Jit::hit(CacheHit found, const Request& request) {
  ++(found.layer == LayerKind::writable    ? counters_.writable_hits
     : found.layer == LayerKind::read_only ? counters_.read_only_hits
                                           : counters_.further_hits);
  found.kernel.entry = fused_entry(request.streams);
  found.kernel.target = request.target;
  return std::move(found.kernel);
}

void Jit::note(const LayerLookup& missed, std::vector<std::string>& causes) {
  const Lookup& lookup = missed.lookup;
  const std::string cause = fmt::format("{} in {}", name_of(lookup.found), missed.layer->name());
  if (std::ranges::find(causes, cause) == causes.end()) causes.push_back(cause);
  // The others are no surprise, or were said when the process began.
  if (!is_rubbish(lookup.found) && lookup.found != Found::unreadable) return;
  {
    const std::lock_guard lock(mutex_);
    if (!told_.insert(lookup.problem).second) return;  // the cache may be asked more than once
  }
  ++counters_.cache_rejected;
  log_->warn("cache entry ignored: {}", lookup.problem);
}

void Jit::say_why(const Request& request, const std::vector<std::string>& causes) {
  log_->debug("no kernel is cached of {} for {}: {}", to_text(request.streams), request.target,
              causes.empty() ? std::string(name_of(Found::off))
                             : fmt::format("{}", fmt::join(causes, "; ")));
}

KernelResult Jit::compile_if_allowed(const Request& request, const char* state_of_cache) {
  if (!may_compile()) {
    const char* const why = Compiling::was_cut_off()
                                ? "this process was forked while its parent compiled: prepare it "
                                  "before, or fork earlier"
                                : "compiling is forbidden: precompile it, or allow compiling";
    return tl::unexpected(
        NoKernel{Reason::compile_forbidden,
                 {Code::not_ready, fmt::format("{} for {} {} and {}", to_text(request.streams),
                                               request.target, state_of_cache, why)}});
  }
  if (request.stop.stop_requested()) {
    return tl::unexpected(NoKernel{
        Reason::none, {Code::not_ready, "the runtime ends, and compiles nothing any more"}});
  }
  KernelResult compiled = compile(request);
  if (!compiled) {
    ++counters_.failed;
  } else if (auto stored = cache_.store(request.key, **compiled); !stored) {
    log_->warn_once("cache", "kernels stay in memory, the cache is not writable: {}",
                    stored.error().message);
  }
  return compiled;
}

KernelResult Jit::compile(const Request& request) {
  const Compiling compiling;
  auto nvrtc = compiler();
  if (!nvrtc) return tl::unexpected(NoKernel{Reason::nvrtc_missing, nvrtc.error()});
  const Source source = fused_source(request.streams, request.variants);
  const auto start = std::chrono::steady_clock::now();
  auto compiled = (*nvrtc)->compile({source.file, source.text, embedded_kernels(), request.target});
  const auto time = std::chrono::steady_clock::now() - start;
  const std::chrono::duration<double, std::milli> elapsed = time;
  counters_.compile.add(time);
  if (!compiled) return tl::unexpected(NoKernel{Reason::compile_failed, compiled.error()});
  ++counters_.compiled;
  counters_.front_end.add(compiled->front_end.value_or(std::chrono::nanoseconds(0)));
  log_->debug("compiled {} for {} in {:.1f} ms", source.entry, request.target, elapsed.count());
  Kernel kernel{
      .entry = source.entry,
      .target = request.target,
      .variant = to_text(request.variants.first),
      .cubin = std::move(compiled->cubin),
      .packed_ptx = pack(compiled->ptx),
      .compiler = "NVRTC " + (*nvrtc)->version(),
      .resources = compiled->resources.empty() ? Resources{} : compiled->resources.front(),
      .key = request.key.digest(),
      .origin = Origin::compiled,
      .compile_ms = elapsed.count(),
      .toolchain = toolchain_};
  return std::make_shared<const Kernel>(std::move(kernel));
}

Result<std::shared_ptr<const Nvrtc>> Jit::compiler() {
  std::call_once(compiler_opened_, [this] {
    const Compiling opening;
    compiler_ = options_.open_compiler();
    if (compiler_) toolchain_ = toolchain_of((*compiler_)->path(), (*compiler_)->version());
    was_opened_.store(true, std::memory_order_release);
  });
  return compiler_;
}

}  // namespace qkjit
