// Which kernels serve a spec on a device, and how their code is made and loaded.
#include <exception>
#include <future>
#include <optional>

#include "loader.hpp"
#include "spec/text.hpp"
#include "spec/variant.hpp"
#include "tuning/builtin.hpp"
#include "tuning/dual_choices.hpp"

namespace qkjit {
namespace {

/// At once, where threads can be had.
constexpr auto kIfPossible = std::launch::async | std::launch::deferred;

}  // namespace

Result<TableEntry> Loader::find_code(const Driver& driver, const Streams& streams, int device,
                                     Compile how, const std::stop_token& stop) {
  const auto target = driver.target(device);
  if (!target) return tl::unexpected(target.error());
  const auto name = driver.device_name(device);
  if (!name) return tl::unexpected(name.error());
  const Choices chosen = choices_of(streams, tuning_.choices(streams.first, *name, *target));
  TableEntry entry = find_code(driver, streams, chosen, *target, how, stop);
  // What was tuned here may not have been precompiled elsewhere.
  const Choices builtin = choices_of(streams, builtin_choices(streams.first, *target));
  if (entry.kernels.size() == chosen.size() || chosen == builtin) return entry;
  TableEntry other = find_code(driver, streams, builtin, *target, how, stop);
  return other.kernels.size() > entry.kernels.size() ? std::move(other) : std::move(entry);
}

/// The first choice's kernel, or why there is none, which stays so; and those of the others as far
/// as there is code for them: without one, another serves its calls, slower. What has to be
/// compiled is compiled now, so that no later call waits for it, or else later; what is cached is
/// read when a call needs it.
TableEntry Loader::find_code(const Driver& driver, const Streams& streams, const Choices& choices,
                             const std::string& target, Compile how, const std::stop_token& stop) {
  const std::size_t count = choices.size();
  const bool apart = how == Compile::side_by_side && count > 1;
  std::vector<bool> is_at_hand(count);
  std::vector<std::optional<std::future<KernelResult>>> compiled(count);
  for (std::size_t i = 0; i < count; ++i) {
    const Variants variants = variants_of(streams, choices[i].variant);
    is_at_hand[i] = jit_.is_at_hand(streams, variants, target);
    if (is_at_hand[i] || how == Compile::later) continue;
    compiled[i] = std::async(apart ? kIfPossible : std::launch::deferred, [&, variants] {
      return jit_.obtain(streams, variants, target, stop);
    });
    is_at_hand[i] = true;
  }
  TableEntry entry;
  for (std::size_t i = 0; i < count; ++i) {
    const Choice& choice = choices[i];
    const KernelResult code = compiled[i] ? compiled[i]->get() : nullptr;
    if (code) {
      const auto fetch = [=, this](const std::stop_token& until) {
        const Variants variants = variants_of(streams, choice.variant);
        return jit_.obtain(streams, variants, target, until).has_value();
      };
      entry.kernels.emplace_back(choice, is_at_hand[i], fetch, [=, this, &driver] {
        return load_code(driver, streams, choice, target);
      });
    } else if (i == 0) {
      return TableEntry{{}, code.error()};
    } else {
      warn_without(streams, choice, code.error().error);
    }
  }
  return entry;
}

/// Of the threads that come upon it, one queues it.
void Loader::compile_later(const Driver& driver, const Streams& streams, const TableKernel& kernel,
                           int device) {
  if (!kernel.claim()) return;
  pool_.submit([=, this, &driver, &kernel](const std::stop_token& stop) {
    try {
      if (!kernel.fetch(stop)) find_other_code(driver, streams, device, stop);
    } catch (const std::exception& error) {
      log_->warn("{} is not compiled in the background: {}", to_text(streams), error.what());
    }
  });
}

/// In place of code that cannot be compiled: what was chosen for this GPU may be so, and what is
/// built in not.
void Loader::find_other_code(const Driver& driver, const Streams& streams, int device,
                             const std::stop_token& stop) {
  auto other = find_code(driver, streams, device, Compile::one_by_one, stop);
  if (!other || stop.stop_requested()) return;
  const auto key = KernelTable::fused_key(streams.first, device, streams.second);
  table_.replace(key, std::move(*other));
}

void Loader::warn_without(const Streams& streams, const Choice& choice, const Error& why) {
  const std::string kernel =
      fmt::format("{} goes without its kernel for {} bytes and more ({})", to_text(streams),
                  choice.from_bytes, to_text(choice.variant));
  log_->warn_once(kernel, "{}: {}", kernel, why.message);
}

/// Makes nothing: what is cached but refused by the driver has to be compiled anew first.
Loader::Loaded Loader::load_code(const Driver& driver, const Streams& streams, const Choice& choice,
                                 const std::string& target) {
  const Variants variants = variants_of(streams, choice.variant);
  const KernelResult code = jit_.find(streams, variants, target);
  if (!code) {
    if (!may_pass(code.error().reason)) warn_without(streams, choice, code.error().error);
    return tl::unexpected(code.error());
  }
  const Timed timed(load_time_);
  auto loaded = driver.load((*code)->cubin, (*code)->entry);
  const bool is_refused = !loaded && loaded.error().code == Code::compile_failed;
  if (is_refused && (*code)->origin == Origin::cache) {
    jit_.reject(streams, variants, target, loaded.error());
    return tl::unexpected(NoKernel{Reason::compile_pending, loaded.error()});
  }
  if (!loaded) warn_without(streams, choice, loaded.error());
  return checked(std::move(loaded));
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
