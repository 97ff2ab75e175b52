#include "jit/jit.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>

#include "codegen/source.hpp"
#include "jit/toolchain.hpp"
#include "spec/text.hpp"
#include "spec/variant.hpp"
#include "util/embedded_file.hpp"

namespace qkjit {

Key kernel_key(const Streams& streams, const Variants& variants, const std::string& target) {
  Key key;
  key.add("schema", "3");
  key.add("spec", to_text(streams.first));
  key.add("variant", to_text(variants.first));
  if (streams.second) {
    key.add("second_spec", to_text(*streams.second));
    key.add("second_variant", to_text(variants.second));
  }
  key.add("target", target);
  key.add("options", fmt::format("{}", fmt::join(compile_options(target), "\n")));
  key.add("source", fused_source(streams, variants).text);
  for (const EmbeddedFile& header : embedded_kernels()) key.add(header.name, header.sha256);
  return key;
}

/// Whether it is there, and no failure.
static bool has_value(const std::shared_future<KernelResult>& made) {
  return made.wait_for(std::chrono::seconds(0)) == std::future_status::ready && made.get();
}

KernelResult Jit::obtain(const Streams& streams, const Variants& variants,
                         const std::string& target) {
  const Request request{streams, variants, target, kernel_key(streams, variants, target)};
  return make_once(request.key.digest(), false, [&] { return obtain_anew(request); });
}

bool Jit::is_at_hand(const Streams& streams, const Variants& variants, const std::string& target) {
  const Request request{streams, variants, target, kernel_key(streams, variants, target)};
  const std::string digest = request.key.digest();
  {
    const std::lock_guard lock(mutex_);
    const auto known = kernels_.find(digest);
    if (known != kernels_.end()) return has_value(known->second.result);
  }
  const Wanted wanted = this->wanted();
  if (wanted.any_toolchain) {
    const auto has = [&](const CacheLayer& layer) { return layer.has(digest); };
    return (options_.writable && has(*options_.writable)) ||
           std::ranges::any_of(options_.read_only, has) ||
           std::ranges::any_of(options_.further, [&](const auto& layer) { return has(*layer); });
  }
  std::vector<std::string> causes;
  auto cached =
      cache_.find(request.key, wanted, [&](const LayerLookup& missed) { note(missed, causes); });
  if (!cached) return false;
  std::promise<KernelResult> promise;
  promise.set_value(hit(std::move(*cached), request));
  const std::shared_future<KernelResult> made = promise.get_future().share();
  {
    const std::lock_guard lock(mutex_);
    Slot& slot = kernels_[digest];
    if (!slot.result.valid()) slot.result = made;
  }
  remember(digest, made.get());
  return true;
}

KernelResult Jit::renew(const Streams& streams, const Variants& variants, const std::string& target,
                        const Error& why) {
  const Request request{streams, variants, target, kernel_key(streams, variants, target)};
  const std::string digest = request.key.digest();
  return make_once(digest, true, [&] {
    ++counters_.cache_rejected;
    log_->warn("cache entry ignored: the driver refuses {} of {}: {}",
               fused_source(streams, variants).entry, digest, why.message);
    return compile_if_allowed(request, "is cached as what the driver refuses");
  });
}

KernelResult Jit::make_once(const std::string& digest, bool anew,
                            const std::function<KernelResult()>& make) {
  std::promise<KernelResult> promise;
  std::shared_future<KernelResult> made;
  {
    const std::lock_guard lock(mutex_);
    Slot& slot = kernels_[digest];
    if (slot.result.valid() && (!anew || slot.is_renewed)) {
      made = slot.result;
      recent_.use(digest);
    } else {
      slot = {promise.get_future().share(), anew};
    }
  }
  if (made.valid()) return made.get();
  // This thread is the one; whatever happens, the waiters get an answer.
  KernelResult result;
  try {
    result = make();
  } catch (const std::exception& error) {
    ++counters_.failed;
    result = tl::unexpected(NoKernel{Reason::compile_failed, {Code::internal, error.what()}});
  }
  promise.set_value(result);
  remember(digest, result);
  return result;
}

/// Failures are small and stay.
void Jit::remember(const std::string& digest, const KernelResult& made) {
  if (!made) return;
  const std::lock_guard lock(mutex_);
  const std::uint64_t bytes = (*made)->cubin.size() + (*made)->ptx.size();
  for (const std::string& gone : recent_.add(digest, bytes)) kernels_.erase(gone);
}

/// Entries of this machine's compiler; of any, where it is not known or may not be used.
Wanted Jit::wanted() {
  if (was_opened_.load(std::memory_order_acquire)) {
    return {toolchain_, !compiler_ || !options_.may_compile};
  }
  std::call_once(toolchain_expected_, [this] {
    if (options_.find_compiler) expected_toolchain_ = toolchain_of(options_.find_compiler());
  });
  return {expected_toolchain_, expected_toolchain_.empty() || !options_.may_compile};
}

KernelResult Jit::obtain_anew(const Request& request) {
  std::vector<std::string> causes;
  const auto missed = [&](const LayerLookup& layer) { note(layer, causes); };
  const Wanted expected = wanted();
  if (auto cached = cache_.find(request.key, expected, missed))
    return hit(std::move(*cached), request);
  if (!options_.may_compile) {
    say_why(request, causes);
    return compile_if_allowed(request, "is in no cache directory");
  }

  const FileLock lock = cache_.lock(request.key, options_.patience);
  if (lock.state() == FileLock::State::timed_out) {
    log_->warn("another process has not compiled {} for {} within {} ms: compiling it here too",
               to_text(request.streams), request.target, options_.patience.count());
  }
  if (lock.state() == FileLock::State::held) {  // by another until now, perhaps
    if (auto cached = cache_.find_own(request.key, expected, missed))
      return hit(std::move(*cached), request);
  }
  // Only the open compiler says for certain whose entries are wanted.
  static_cast<void>(compiler());
  if (const Wanted certain = wanted(); certain != expected) {
    if (auto cached = cache_.find(request.key, certain, missed))
      return hit(std::move(*cached), request);
  }
  say_why(request, causes);
  return compile_if_allowed(request, "is in no cache directory");
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

KernelResult Jit::hit(Kernel kernel, const Request& request) {
  ++counters_.cache_hits;
  kernel.entry = fused_source(request.streams, request.variants).entry;
  kernel.target = request.target;
  return std::make_shared<const Kernel>(std::move(kernel));
}

KernelResult Jit::compile_if_allowed(const Request& request, const char* state_of_cache) {
  if (!options_.may_compile) {
    return tl::unexpected(NoKernel{
        Reason::compile_forbidden,
        {Code::not_ready,
         fmt::format("{} for {} {} and compiling is forbidden: precompile it, or allow compiling",
                     to_text(request.streams), request.target, state_of_cache)}});
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
  auto nvrtc = compiler();
  if (!nvrtc) return tl::unexpected(NoKernel{Reason::nvrtc_missing, nvrtc.error()});
  const Source source = fused_source(request.streams, request.variants);
  const auto start = std::chrono::steady_clock::now();
  auto compiled = (*nvrtc)->compile({source.file, source.text, embedded_kernels(), request.target});
  const std::chrono::duration<double, std::milli> elapsed =
      std::chrono::steady_clock::now() - start;
  if (!compiled) return tl::unexpected(NoKernel{Reason::compile_failed, compiled.error()});
  ++counters_.compiled;
  log_->debug("compiled {} for {} in {:.1f} ms", source.entry, request.target, elapsed.count());
  Kernel kernel{
      .entry = source.entry,
      .target = request.target,
      .variant = to_text(request.variants.first),
      .cubin = std::move(compiled->cubin),
      .ptx = std::move(compiled->ptx),
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
    compiler_ = options_.open_compiler();
    if (compiler_) toolchain_ = toolchain_of((*compiler_)->path(), (*compiler_)->version());
    was_opened_.store(true, std::memory_order_release);
  });
  return compiler_;
}

}  // namespace qkjit
