#include "loader.hpp"

#include <algorithm>
#include <future>
#include <optional>

#include "codegen/source.hpp"
#include "op/geometry.hpp"
#include "spec/text.hpp"
#include "spec/variant.hpp"
#include "tuning/builtin.hpp"
#include "tuning/dual_choices.hpp"
#include "util/embedded_file.hpp"

namespace qkjit {
namespace {

/// At once, where threads can be had.
constexpr auto kIfPossible = std::launch::async | std::launch::deferred;

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

/// The kernel, loaded now if it was not before.
tl::expected<const LoadedKernel*, NoKernel> ready(const Driver& driver, const TableKernel& kernel,
                                                  Stream stream) {
  if (const LoadedKernel* loaded = kernel.loaded()) return loaded;
  const auto may = may_load(driver, stream);
  if (!may && !kernel.is_refused() && !kernel.loaded()) return tl::unexpected(may.error());
  return kernel.load();
}

}  // namespace

tl::expected<FusedKernel, NoKernel> Loader::fused(const Driver& driver, const Streams& streams,
                                                  std::uint64_t bytes, bool takes_bulk,
                                                  int device, Stream stream) {
  const auto entry = fused_entry(driver, streams, device, stream);
  if (!entry) return tl::unexpected(entry.error());
  NoKernel why = (*entry)->why_none;
  std::vector<const TableKernel*> missing;  // the better ones that cannot be had now
  const auto may_be_had = [&](const TableKernel& kernel) {
    return std::ranges::find(missing, &kernel) == missing.end();
  };
  while (const TableKernel* kernel =
             choose((*entry)->kernels, bytes, takes_bulk, &TableKernel::choice, may_be_had)) {
    const auto loaded = ready(driver, *kernel, stream);
    if (loaded) {
      const bool for_ever = std::ranges::all_of(missing, &TableKernel::is_refused);
      return FusedKernel{*loaded, kernel->choice().variant, !for_ever};
    }
    if (missing.empty()) why = loaded.error();
    missing.push_back(kernel);
  }
  return tl::unexpected(why);
}

Result<const LoadedKernel*> Loader::generic(const Driver& driver, const Spec& spec, int device,
                                            Stream stream) {
  const auto kernel = generic_kernel(driver, spec, device);
  if (!kernel) return tl::unexpected(kernel.error());
  const auto loaded = ready(driver, **kernel, stream);
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
  const auto entry = fused_entry(driver, streams, device, nullptr);
  if (!entry) return tl::unexpected(entry.error().error);
  const auto& kernels = (*entry)->kernels;
  if (kernels.empty()) return tl::unexpected((*entry)->why_none.error);
  for (const TableKernel& kernel : kernels) {
    const auto loaded = ready(driver, kernel, nullptr);
    if (loaded) continue;
    // What is refused for ever may be missing; what may pass is for the caller to try again, so
    // that no launch does.
    const Reason why = loaded.error().reason;
    const bool may_pass = why == Reason::none || why == Reason::stream_capturing;
    if (&kernel == &kernels.front() || may_pass) return tl::unexpected(loaded.error().error);
  }
  return {};
}

tl::expected<const TableEntry*, NoKernel> Loader::fused_entry(const Driver& driver,
                                                              const Streams& streams, int device,
                                                              Stream stream) {
  const auto key = KernelTable::fused_key(streams.first, device, streams.second);
  if (const TableEntry* entry = table_.find(key)) return entry;
  if (const auto may = may_load(driver, stream); !may) return tl::unexpected(may.error());
  auto found = find_code(driver, streams, device);
  if (!found) return tl::unexpected(NoKernel{Reason::none, found.error()});
  return table_.insert(key, std::move(*found));
}

Result<TableEntry> Loader::find_code(const Driver& driver, const Streams& streams, int device) {
  const auto target = driver.target(device);
  if (!target) return tl::unexpected(target.error());
  const auto name = driver.device_name(device);
  if (!name) return tl::unexpected(name.error());
  const Choices chosen = choices_of(streams, tuning_.choices(streams.first, *name, *target));
  TableEntry entry = find_code(driver, streams, chosen, *target);
  // What was tuned here may not have been precompiled elsewhere.
  const Choices builtin = choices_of(streams, builtin_choices(streams.first, *target));
  if (entry.kernels.size() == chosen.size() || chosen == builtin) return entry;
  TableEntry other = find_code(driver, streams, builtin, *target);
  return other.kernels.size() > entry.kernels.size() ? std::move(other) : std::move(entry);
}

/// The first choice's kernel, or why there is none, which stays so; and those of the others as far
/// as there is code for them: without one, another serves its calls, slower. What has to be
/// compiled is compiled now, so that no later call waits for it; what is cached is read when a call
/// needs it.
TableEntry Loader::find_code(const Driver& driver, const Streams& streams, const Choices& choices,
                             const std::string& target) {
  std::vector<std::optional<std::future<KernelResult>>> compiled(choices.size());
  for (std::size_t i = 0; i < choices.size(); ++i) {
    const Variants variants = variants_of(streams, choices[i].variant);
    if (jit_.is_at_hand(streams, variants, target)) continue;
    compiled[i] = std::async(choices.size() > 1 ? kIfPossible : std::launch::deferred,
                             [&, variants] { return jit_.obtain(streams, variants, target); });
  }
  TableEntry entry;
  for (std::size_t i = 0; i < choices.size(); ++i) {
    const Choice& choice = choices[i];
    const KernelResult code = compiled[i] ? compiled[i]->get() : nullptr;
    if (code) {
      entry.kernels.emplace_back(
          choice, [=, this, &driver] { return load_code(driver, streams, choice, target); });
    } else if (i == 0) {
      return TableEntry{{}, code.error()};
    } else {
      warn_without(streams, choice, code.error().error);
    }
  }
  return entry;
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
    found.kernels.emplace_back(Choice{},
                               [this, &driver, text = code->text, name = generic_entry(kind)] {
                                 return checked(driver.load(text, name));
                               });
    entry = table_.insert(key, std::move(found));
  }
  return &entry->kernels.front();
}

void Loader::warn_without(const Streams& streams, const Choice& choice, const Error& why) {
  const std::string kernel =
      fmt::format("{} goes without its kernel for {} bytes and more ({})", to_text(streams),
                  choice.from_bytes, to_text(choice.variant));
  log_->warn_once(kernel, "{}: {}", kernel, why.message);
}

/// What is cached but refused by the driver is compiled anew.
Loader::Loaded Loader::load_code(const Driver& driver, const Streams& streams, const Choice& choice,
                                 const std::string& target) {
  const Variants variants = variants_of(streams, choice.variant);
  const auto load = [&]() -> Loaded {
    const KernelResult code = jit_.obtain(streams, variants, target);
    if (!code) return tl::unexpected(code.error());
    auto loaded = driver.load((*code)->cubin, (*code)->entry);
    const bool refused = !loaded && loaded.error().code == Code::compile_failed;
    if (!refused || (*code)->origin != Origin::cache) return checked(std::move(loaded));
    const KernelResult renewed = jit_.renew(streams, variants, target, loaded.error());
    if (!renewed) return tl::unexpected(renewed.error());
    return checked(driver.load((*renewed)->cubin, (*renewed)->entry));
  };
  Loaded loaded = load();
  if (!loaded) warn_without(streams, choice, loaded.error().error);
  return loaded;
}

/// Counts a failure, and tells one that stays from one that may pass.
Loader::Loaded Loader::checked(Result<LoadedKernel> loaded) {
  if (loaded) return std::move(*loaded);
  ++failed_;
  const bool stays = loaded.error().code == Code::compile_failed;
  return tl::unexpected(
      NoKernel{stays ? Reason::compile_failed : Reason::none, std::move(loaded.error())});
}

}  // namespace qkjit
