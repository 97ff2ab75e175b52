// Spec and target to kernel code: from memory, else from the cache directories, else by NVRTC.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "cache/directory.hpp"
#include "compile/nvrtc.hpp"
#include "jit/kernel.hpp"
#include "kernels/variant.cuh"
#include "spec/path.hpp"
#include "spec/streams.hpp"
#include "util/log.hpp"

namespace qkjit {

struct JitOptions {
  std::optional<CacheDirectory> writable;  ///< none: kernels stay in memory
  std::vector<CacheDirectory> read_only;   ///< looked up after the writable one
  bool may_compile = true;
  /// Opens the compiler when the first kernel has to be compiled, and not before.
  std::function<Result<std::shared_ptr<const Nvrtc>>()> open_compiler;
};

struct JitCounters {
  std::atomic<std::uint64_t> compiled{0}, cache_hits{0}, cache_rejected{0}, failed{0};
};

/// A NoKernel of the Jit always has a reason.
using KernelResult = tl::expected<std::shared_ptr<const Kernel>, NoKernel>;

/// Cache key of a fused kernel: schema, spec and variant of each stream, sources, options, target.
/// The kernel headers stand in it as digests: their text would be most of every entry, to be read
/// and hashed on every hit. Not the compiler, so that a machine without one finds what another
/// compiled.
Key kernel_key(const Streams& streams, const Variants& variants, const std::string& target);

/// Thread-safe. Of concurrent requests for one kernel, one compiles and the others wait for it;
/// different kernels compile in parallel.
class Jit {
 public:
  Jit(JitOptions options, std::shared_ptr<Log> log)
      : options_(std::move(options)), log_(std::move(log)) {}

  /// The kernel for specs that supports() calls fused, in variants that check_variant() allows.
  /// A failure is remembered: it would fail again.
  KernelResult obtain(const Streams& streams, const Variants& variants, const std::string& target);

  /// Whether obtain() would give the kernel without compiling, as far as can be told without
  /// reading the cache's files. One that another thread is making, or that failed, is not at hand.
  bool is_at_hand(const Streams& streams, const Variants& variants, const std::string& target);

  /// What obtain() gives from now on in place of a cached kernel that a driver refused (`why`): it
  /// is compiled anew, once, and replaces the entry.
  KernelResult renew(const Streams& streams, const Variants& variants, const std::string& target,
                     const Error& why);

  /// The compiler, opened now if it was not before.
  Result<std::shared_ptr<const Nvrtc>> compiler();

  const JitOptions& options() const { return options_; }
  const JitCounters& counters() const { return counters_; }

 private:
  /// A kernel that one thread makes and all others wait for.
  struct Slot {
    std::shared_future<KernelResult> result;
    bool is_renewed = false;
  };

  KernelResult make_once(const std::string& digest, bool anew,
                         const std::function<KernelResult()>& make);
  std::vector<CacheDirectory> layers() const;
  std::optional<Kernel> find_cached(const Key& key);
  KernelResult compile_if_allowed(const Streams& streams, const Variants& variants, const Key& key,
                                  const std::string& target, const char* state_of_cache);
  KernelResult compile(const Streams& streams, const Variants& variants, const Key& key,
                       const std::string& target);
  void publish(const Key& key, const Kernel& kernel);

  JitOptions options_;
  std::shared_ptr<Log> log_;
  JitCounters counters_;

  std::mutex mutex_;                     // guards what follows; never held during I/O or a compile
  std::map<std::string, Slot> kernels_;  // by key digest

  std::once_flag compiler_opened_;
  Result<std::shared_ptr<const Nvrtc>> compiler_;
};

}  // namespace qkjit
