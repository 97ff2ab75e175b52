// A kernel that is loaded into the driver when it is first needed.
#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <optional>
#include <stop_token>

#include "cuda/driver.hpp"
#include "spec/path.hpp"
#include "tuning/choice.hpp"

namespace qkjit {

/// Thread-safe. What is loaded is found without a lock, and stays as long as this object. Its code
/// is made and loaded apart, so that nobody holds a lock while a compiler works.
class TableKernel {
 public:
  /// Finds the code or has it made, however long that takes; false if it cannot be had.
  using Fetch = std::function<bool(const std::stop_token&)>;
  /// Loads the code if it is at hand; Reason::compile_pending if it has to be fetched first.
  using Load = std::function<tl::expected<LoadedKernel, NoKernel>()>;

  /// `choice` is what the kernel is chosen for. `is_at_hand`: as far as is known, its code need not
  /// be made.
  TableKernel(const Choice& choice, bool is_at_hand, Fetch fetch, Load load)
      : choice_(choice),
        fetch_(std::move(fetch)),
        load_(std::move(load)),
        code_(is_at_hand ? Code::at_hand : Code::missing) {}

  const Choice& choice() const { return choice_; }

  /// Null if it is not loaded.
  const LoadedKernel* loaded() const { return published_.load(std::memory_order_acquire); }

  /// Whether its code has to be fetched before it can be loaded. Waits for nobody, as do the next.
  bool is_missing() const { return code_.load(std::memory_order_acquire) != Code::at_hand; }
  /// Whether it failed to load for ever.
  bool is_refused() const { return is_refused_.load(std::memory_order_acquire); }

  /// Says that the code is missing and that the caller will fetch it: true for one caller, until it
  /// has done so.
  bool claim() const {
    return code_.exchange(Code::claimed, std::memory_order_acq_rel) != Code::claimed;
  }

  /// Fetches the code. Why there is none, load() then says.
  bool fetch(const std::stop_token& stop = {}) const {
    const bool fetched = fetch_(stop);
    if (!stop.stop_requested()) code_.store(Code::at_hand, std::memory_order_release);
    return fetched;
  }

  /// Loads it unless it is loaded: of concurrent callers one does, and the others wait. A failure
  /// that has a reason stays and is not tried again; but those that may_pass().
  tl::expected<const LoadedKernel*, NoKernel> load() const {
    const std::lock_guard lock(mutex_);
    if (refusal_) return tl::unexpected(*refusal_);
    if (!kernel_) {
      auto loaded = load_();
      if (!loaded && !may_pass(loaded.error().reason)) {
        refusal_ = loaded.error();
        is_refused_.store(true, std::memory_order_release);
      }
      if (!loaded) return tl::unexpected(std::move(loaded.error()));
      kernel_.emplace(std::move(*loaded));
      published_.store(&*kernel_, std::memory_order_release);
    }
    return &*kernel_;
  }

 private:
  enum class Code { at_hand, missing, claimed };

  const Choice choice_;
  const Fetch fetch_;
  const Load load_;

  mutable std::atomic<Code> code_;
  mutable std::atomic<const LoadedKernel*> published_{nullptr};
  mutable std::atomic<bool> is_refused_{false};
  mutable std::mutex mutex_;  // guards what follows
  mutable std::optional<LoadedKernel> kernel_;
  mutable std::optional<NoKernel> refusal_;
};

}  // namespace qkjit
