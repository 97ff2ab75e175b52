#include "loader.hpp"

#include <algorithm>
#include <optional>

#include "codegen/source.hpp"
#include "op/geometry.hpp"
#include "spec/text.hpp"
#include "spec/variant.hpp"
#include "util/embedded_file.hpp"
#include "util/packed.hpp"

namespace qkjit {
namespace {

constexpr std::size_t kMaxPtxBytes = 64u << 20;

/// Nothing may be loaded while the stream is captured.
tl::expected<void, NoKernel> may_load(const Driver& driver, Stream stream) {
  const auto capturing = driver.is_capturing(stream);
  if (!capturing) return tl::unexpected(NoKernel{Reason::none, capturing.error()});
  if (!*capturing) return {};
  return tl::unexpected(
      NoKernel{Reason::stream_capturing,
               {Code::not_ready,
                "the stream is capturing and no kernel for this call is loaded: call "
                "qkjit_prepare() with its spec before the capture begins"}});
}

}  // namespace

tl::expected<FusedKernel, NoKernel> Loader::fused(const Driver& driver, const Streams& streams,
                                                  std::uint64_t bytes, bool takes_bulk, int device,
                                                  Stream stream, IfMissing missing) {
  const auto entry = fused_entry(driver, streams, device, stream, missing);
  if (!entry) return tl::unexpected(entry.error());
  if (missing == IfMissing::queue) {
    for (const TableKernel& kernel : (*entry)->kernels) {
      if (kernel.is_missing()) compile_later(driver, streams, kernel, device);
    }
  }
  NoKernel why = (*entry)->why_none;
  std::vector<const TableKernel*> passed_over;  // the better ones that cannot be had now
  const auto may_be_had = [&](const TableKernel& kernel) {
    return std::ranges::find(passed_over, &kernel) == passed_over.end();
  };
  while (const TableKernel* kernel =
             choose((*entry)->kernels, bytes, takes_bulk, &TableKernel::choice, may_be_had)) {
    const auto loaded = ready(driver, streams, *kernel, device, stream, missing);
    if (loaded) {
      const bool for_ever = std::ranges::all_of(passed_over, &TableKernel::is_refused);
      return FusedKernel{*loaded, kernel->choice().variant, !for_ever};
    }
    if (passed_over.empty()) why = loaded.error();
    passed_over.push_back(kernel);
  }
  return tl::unexpected(why);
}

Result<const LoadedKernel*> Loader::generic(const Driver& driver, const Spec& spec, int device,
                                            Stream stream) {
  const auto kernel = generic_kernel(driver, spec, device);
  if (!kernel) return tl::unexpected(kernel.error());
  const auto loaded = ready(driver, spec, **kernel, device, stream, IfMissing::wait);
  if (loaded) return *loaded;
  return tl::unexpected(loaded.error().error);
}

Result<void> Loader::prepare(const Driver& driver, const Spec& spec, int device) {
  const auto support = supports(spec);
  if (!support) return tl::unexpected(support.error());
  const bool is_fused = support->dispatch.path == Path::fused;
  if (auto done = load_generic(driver, spec, device, !is_fused); !done) return done;
  return is_fused ? load_all(driver, spec, device) : Result<void>{};
}

Result<void> Loader::prepare(const Driver& driver, const Streams& streams, int device) {
  // A stream may be left alone, or take a launch of its own.
  for (const Spec& spec : {streams.first, streams.second.value_or(streams.first)}) {
    if (auto done = prepare(driver, spec, device); !done) return done;
  }
  return load_all(driver, streams, device);
}

/// Beside fused kernels it is not needed.
Result<void> Loader::load_generic(const Driver& driver, const Spec& spec, int device,
                                  bool is_needed) {
  const auto loaded = generic(driver, spec, device, nullptr);
  if (loaded) return {};
  if (is_needed || loaded.error().code == Code::not_ready) return tl::unexpected(loaded.error());
  log_->warn_once("generic", "{} goes without the generic kernel: {}", to_text(spec),
                  loaded.error().message);
  return {};
}

Result<void> Loader::load_all(const Driver& driver, const Streams& streams, int device) {
  const auto entry = fused_entry(driver, streams, device, nullptr, IfMissing::wait);
  if (!entry) return tl::unexpected(entry.error().error);
  const auto& kernels = (*entry)->kernels;
  if (kernels.empty()) return tl::unexpected((*entry)->why_none.error);
  for (const TableKernel& kernel : kernels) {
    const auto loaded = ready(driver, streams, kernel, device, nullptr, IfMissing::wait);
    if (loaded) continue;
    // What is refused for ever may be missing; what may pass is for the caller to try again, so
    // that no launch does.
    if (&kernel == &kernels.front() || may_pass(loaded.error().reason)) {
      return tl::unexpected(loaded.error().error);
    }
  }
  return {};
}

tl::expected<const TableEntry*, NoKernel> Loader::fused_entry(const Driver& driver,
                                                              const Streams& streams, int device,
                                                              Stream stream, IfMissing missing) {
  const auto key = KernelTable::fused_key(streams.first, device, streams.second);
  if (const TableEntry* entry = table_.find(key)) return entry;
  if (const auto may = may_load(driver, stream); !may) return tl::unexpected(may.error());
  const Compile how = missing == IfMissing::wait ? Compile::side_by_side : Compile::later;
  auto found = find_code(driver, streams, device, how);
  if (!found) return tl::unexpected(NoKernel{Reason::none, found.error()});
  return table_.insert(key, std::move(*found));
}

/// The kernel, loaded now if it was not before.
tl::expected<const LoadedKernel*, NoKernel> Loader::ready(const Driver& driver,
                                                          const Streams& streams,
                                                          const TableKernel& kernel, int device,
                                                          Stream stream, IfMissing missing) {
  for (;;) {
    if (const LoadedKernel* loaded = kernel.loaded()) return loaded;
    if (kernel.is_missing() && missing != IfMissing::wait) {
      return tl::unexpected(
          NoKernel{Reason::compile_pending,
                   {Code::not_ready, std::string(sentence_of(Reason::compile_pending))}});
    }
    const auto may = may_load(driver, stream);
    if (!may && !kernel.is_refused() && !kernel.loaded()) return tl::unexpected(may.error());
    if (kernel.is_missing()) kernel.fetch();
    const auto loaded = kernel.load();
    if (loaded || loaded.error().reason != Reason::compile_pending) return loaded;
    // What was thought to be cached is not, or not what the driver takes.
    if (missing == IfMissing::wait) kernel.fetch();
    if (missing == IfMissing::queue) compile_later(driver, streams, kernel, device);
    if (missing == IfMissing::do_none) return loaded;
  }
}

Result<const TableKernel*> Loader::generic_kernel(const Driver& driver, const Spec& spec,
                                                  int device) {
  const GenericKind kind = generic_kind(spec);
  const auto key = KernelTable::generic_key(kind, device);
  const TableEntry* entry = table_.find(key);
  if (!entry) {
    const auto target = driver.target(device);
    if (!target) return tl::unexpected(target.error());
    const int capability =
        kGenericCapabilities[compute_capability(*target) >= kGenericCapabilities[1]];
    const std::string file = generic_file(kind, capability);
    const auto code = std::ranges::find(embedded_ptx(), file, &EmbeddedFile::name);
    TableEntry found;
    const auto fetched = [](const std::stop_token&) { return true; };
    found.kernels.emplace_back(
        Choice{}, true, fetched, [this, &driver, packed = code->text, name = generic_entry(kind)] {
          const Timed timed(load_time_);
          return checked(unpack(packed, kMaxPtxBytes).and_then([&](const std::string& ptx) {
            return driver.load(ptx, name);
          }));
        });
    entry = table_.insert(key, std::move(found));
  }
  return &entry->kernels.front();
}

}  // namespace qkjit
