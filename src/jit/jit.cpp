#include "jit/jit.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>

#include "codegen/source.hpp"
#include "jit/metadata.hpp"
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
  const Key key = kernel_key(streams, variants, target);
  return make_once(key.digest(), false, [&]() -> KernelResult {
    auto cached = find_cached(key);
    if (!cached) {
      return compile_if_allowed(streams, variants, key, target, "is in no cache directory");
    }
    ++counters_.cache_hits;
    cached->entry = fused_source(streams, variants).entry;
    cached->target = target;
    return std::make_shared<const Kernel>(std::move(*cached));
  });
}

bool Jit::is_at_hand(const Streams& streams, const Variants& variants, const std::string& target) {
  const std::string digest = kernel_key(streams, variants, target).digest();
  {
    const std::lock_guard lock(mutex_);
    const auto known = kernels_.find(digest);
    if (known != kernels_.end()) return has_value(known->second.result);
  }
  return std::ranges::any_of(layers(),
                             [&](const CacheDirectory& layer) { return layer.has(digest); });
}

KernelResult Jit::renew(const Streams& streams, const Variants& variants, const std::string& target,
                        const Error& why) {
  const Key key = kernel_key(streams, variants, target);
  return make_once(key.digest(), true, [&] {
    ++counters_.cache_rejected;
    log_->warn("cache entry ignored: the driver refuses {} of {}: {}",
               fused_source(streams, variants).entry, key.digest(), why.message);
    return compile_if_allowed(streams, variants, key, target,
                              "is cached as what the driver refuses");
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
  return result;
}

KernelResult Jit::compile_if_allowed(const Streams& streams, const Variants& variants,
                                     const Key& key, const std::string& target,
                                     const char* state_of_cache) {
  if (!options_.may_compile) {
    return tl::unexpected(NoKernel{
        Reason::compile_forbidden,
        {Code::not_ready,
         fmt::format("{} for {} {} and compiling is forbidden: precompile it, or allow compiling",
                     to_text(streams), target, state_of_cache)}});
  }
  KernelResult compiled = compile(streams, variants, key, target);
  if (compiled) {
    publish(key, **compiled);
  } else {
    ++counters_.failed;
  }
  return compiled;
}

std::vector<CacheDirectory> Jit::layers() const {
  std::vector<CacheDirectory> layers = options_.read_only;
  if (options_.writable) layers.insert(layers.begin(), *options_.writable);
  return layers;
}

std::optional<Kernel> Jit::find_cached(const Key& key) {
  for (const CacheDirectory& layer : layers()) {
    Result<std::optional<Entry>> entry = layer.find(key);
    if (entry && !*entry) continue;
    Result<Kernel> kernel =
        entry ? to_kernel(**entry, key.digest()) : tl::unexpected(entry.error());
    if (kernel) return std::move(*kernel);
    ++counters_.cache_rejected;
    log_->warn("cache entry ignored: {}", kernel.error().message);
  }
  return std::nullopt;
}

KernelResult Jit::compile(const Streams& streams, const Variants& variants, const Key& key,
                          const std::string& target) {
  auto nvrtc = compiler();
  if (!nvrtc) return tl::unexpected(NoKernel{Reason::nvrtc_missing, nvrtc.error()});
  const Source source = fused_source(streams, variants);
  const auto start = std::chrono::steady_clock::now();
  auto compiled = (*nvrtc)->compile({source.file, source.text, embedded_kernels(), target});
  const std::chrono::duration<double, std::milli> elapsed =
      std::chrono::steady_clock::now() - start;
  if (!compiled) return tl::unexpected(NoKernel{Reason::compile_failed, compiled.error()});
  ++counters_.compiled;
  log_->debug("compiled {} for {} in {:.1f} ms", source.entry, target, elapsed.count());
  Kernel kernel{
      .entry = source.entry,
      .target = target,
      .variant = to_text(variants.first),
      .cubin = std::move(compiled->cubin),
      .ptx = std::move(compiled->ptx),
      .compiler = "NVRTC " + (*nvrtc)->version(),
      .resources = compiled->resources.empty() ? Resources{} : compiled->resources.front(),
      .key = key.digest(),
      .origin = Origin::compiled,
      .compile_ms = elapsed.count()};
  return std::make_shared<const Kernel>(std::move(kernel));
}

void Jit::publish(const Key& key, const Kernel& kernel) {
  if (!options_.writable) return;
  if (auto stored = options_.writable->store(key, to_entry(kernel, key.record())); !stored) {
    log_->warn_once("cache", "kernels stay in memory, the cache is not writable: {}",
                    stored.error().message);
  }
}

Result<std::shared_ptr<const Nvrtc>> Jit::compiler() {
  std::call_once(compiler_opened_, [this] { compiler_ = options_.open_compiler(); });
  return compiler_;
}

}  // namespace qkjit
