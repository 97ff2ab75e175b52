#include "jit/jit.hpp"

#include <fmt/ranges.h>

#include <chrono>

#include "codegen/source.hpp"
#include "spec/text.hpp"
#include "spec/variant.hpp"
#include "util/embedded_file.hpp"

namespace qkjit {

namespace {

/// Of all kernel headers: each by itself would be most of every key.
const std::string& headers_digest() {
  static const std::string digest = [] {
    std::vector<KeyField> headers;
    for (const EmbeddedFile& header : embedded_kernels()) {
      headers.push_back({header.name, header.sha256});
    }
    return Key::of(headers).digest();
  }();
  return digest;
}

}  // namespace

Key kernel_key(const Streams& streams, const Variants& variants, const std::string& target) {
  const std::string spec = to_text(streams.first), variant = to_text(variants.first);
  const std::string options = fmt::format("{}", fmt::join(compile_options(target), "\n"));
  const std::string source = fused_source(streams, variants).text;
  std::string second_spec, second_variant;
  std::vector<KeyField> fields = {{"schema", "5"}, {"headers", headers_digest()}};
  fields.insert(fields.end(), {{"spec", spec}, {"variant", variant}});
  if (streams.second) {
    second_spec = to_text(*streams.second), second_variant = to_text(variants.second);
    fields.insert(fields.end(), {{"second_spec", second_spec}, {"second_variant", second_variant}});
  }
  fields.insert(fields.end(), {{"target", target}, {"options", options}, {"source", source}});
  return Key::of(fields);
}

namespace {

const std::stop_token kNeverStops;

}  // namespace

bool Jit::Slot::is_made() const {
  return result.valid() && result.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
}

/// A parent's thread is not here to finish it.
bool Jit::Slot::is_being_made() const {
  return result.valid() && !is_made() && made_in == fork_generation();
}

KernelResult Jit::obtain(const Streams& streams, const Variants& variants,
                         const std::string& target, const std::stop_token& stop) {
  const Request request{streams, variants, target, kernel_key(streams, variants, target), stop};
  const std::string digest = request.key.digest();
  ++counters_.requests;
  std::promise<KernelResult> promise;
  std::shared_future<KernelResult> made;
  bool anew = false;
  {
    const std::lock_guard lock(mutex_);
    Slot& slot = kernels_[digest];
    if (slot.is_made() || slot.is_being_made()) {
      made = slot.result;
      recent_.use(digest);
    } else {
      anew = slot.is_renewed;
      slot = {promise.get_future().share(), anew};
    }
  }
  if (made.valid()) {
    ++counters_.memory_hits;
    return made.get();
  }
  // This thread is the one; whatever happens, the waiters get an answer.
  const KernelResult result = make(request, anew);
  promise.set_value(result);
  keep(digest, result);
  return result;
}

KernelResult Jit::make(const Request& request, bool anew) {
  try {
    if (!anew) return obtain_anew(request);
    ++counters_.misses;
    return compile_if_allowed(request, "is cached as what the driver refuses");
  } catch (const std::exception& error) {
    ++counters_.failed;
    return tl::unexpected(NoKernel{Reason::compile_failed, {Code::internal, error.what()}});
  }
}

/// Failures are small and stay, but for those that say nothing of the kernel.
void Jit::keep(const std::string& digest, const KernelResult& made) {
  const std::lock_guard lock(mutex_);
  if (made) {
    const std::uint64_t bytes = (*made)->cubin.size() + (*made)->packed_ptx.size();
    for (const std::string& gone : recent_.add(digest, bytes)) kernels_.erase(gone);
  } else if (made.error().reason == Reason::none) {
    kernels_.erase(digest);
  }
}

KernelResult Jit::find(const Streams& streams, const Variants& variants,
                       const std::string& target) {
  const auto pending = [&] {
    return tl::unexpected(NoKernel{
        Reason::compile_pending,
        {Code::not_ready, fmt::format("{} for {} is in no cache yet: it is compiled in the "
                                      "background, or qkjit_prepare() waits for it",
                                      to_text(streams), target)}});
  };
  const Request request{streams, variants, target, kernel_key(streams, variants, target),
                        kNeverStops};
  const std::string digest = request.key.digest();
  {
    const std::lock_guard lock(mutex_);
    if (const auto known = kernels_.find(digest); known != kernels_.end()) {
      if (!known->second.is_made()) return pending();
      ++counters_.requests, ++counters_.memory_hits;
      recent_.use(digest);
      return known->second.result.get();
    }
  }
  std::vector<std::string> causes;  // obtain(), which comes next, says them
  auto cached = read(request, wanted(), Reach::directories, causes);
  if (!cached) return pending();
  ++counters_.requests;
  const KernelResult found = std::make_shared<const Kernel>(std::move(*cached));
  std::promise<KernelResult> promise;
  promise.set_value(found);
  {
    const std::lock_guard lock(mutex_);
    if (!kernels_.try_emplace(digest, Slot{promise.get_future().share()}).second) return found;
  }
  keep(digest, found);
  return found;
}

bool Jit::is_at_hand(const Streams& streams, const Variants& variants, const std::string& target) {
  const std::string digest = kernel_key(streams, variants, target).digest();
  {
    const std::lock_guard lock(mutex_);
    const auto known = kernels_.find(digest);
    if (known != kernels_.end()) return known->second.is_made() && known->second.result.get();
  }
  // Where one compiler's entries serve alone, only reading tells.
  if (wanted().any_toolchain) return cache_.has(digest);
  return find(streams, variants, target).has_value();
}

void Jit::reject(const Streams& streams, const Variants& variants, const std::string& target,
                 const Error& why) {
  const std::string digest = kernel_key(streams, variants, target).digest();
  {
    const std::lock_guard lock(mutex_);
    Slot& slot = kernels_[digest];
    if (slot.is_renewed || slot.is_being_made()) return;
    slot = {{}, true};
  }
  ++counters_.cache_rejected;
  log_->warn("cache entry ignored: the driver refuses {} of {}: {}", fused_entry(streams), digest,
             why.message);
}

}  // namespace qkjit
