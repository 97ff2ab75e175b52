// A kernel that is loaded into the driver when it is first needed.
#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <optional>

#include "cuda/driver.hpp"
#include "spec/path.hpp"
#include "tuning/choice.hpp"

namespace qkjit {

/// Thread-safe. What is loaded is found without a lock, and stays as long as this object.
class TableKernel {
 public:
  using Load = std::function<tl::expected<LoadedKernel, NoKernel>()>;

  /// `choice` is what the kernel is chosen for; `load` gives it loaded, or says why not.
  TableKernel(const Choice& choice, Load load) : choice_(choice), load_(std::move(load)) {}

  const Choice& choice() const { return choice_; }

  /// Null if it is not loaded.
  const LoadedKernel* loaded() const { return published_.load(std::memory_order_acquire); }

  /// Loads it unless it is loaded: of concurrent callers one does, and the others wait. A failure
  /// that has a reason stays and is not tried again; one that has none may pass.
  tl::expected<const LoadedKernel*, NoKernel> load() const {
    const std::lock_guard lock(mutex_);
    if (refusal_) return tl::unexpected(*refusal_);
    if (!kernel_) {
      auto loaded = load_();
      if (!loaded && loaded.error().reason != Reason::none) {
        refusal_ = loaded.error();
        is_refused_.store(true, std::memory_order_release);
      }
      if (!loaded) return tl::unexpected(std::move(loaded.error()));
      kernel_.emplace(std::move(*loaded));
      published_.store(&*kernel_, std::memory_order_release);
    }
    return &*kernel_;
  }

  /// Whether it failed to load for ever. Waits for nobody.
  bool is_refused() const { return is_refused_.load(std::memory_order_acquire); }

 private:
  const Choice choice_;
  const Load load_;

  mutable std::atomic<const LoadedKernel*> published_{nullptr};
  mutable std::atomic<bool> is_refused_{false};
  mutable std::mutex mutex_;  // guards what follows
  mutable std::optional<LoadedKernel> kernel_;
  mutable std::optional<NoKernel> refusal_;
};

}  // namespace qkjit
