// Spec and target to kernel code: from memory, else from the cache directories, else by NVRTC.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "cache/recent.hpp"
#include "compile/nvrtc.hpp"
#include "jit/kernel_cache.hpp"
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
  /// Looked up last: what a host adds, such as a store on the network.
  std::vector<std::shared_ptr<const CacheLayer>> further = {};
  /// The library that open_compiler() would open, found without that: it says whose entries are
  /// wanted. None, or an empty name: not known, and entries of every compiler serve until it is
  /// open.
  std::function<std::string()> find_compiler = {};
  /// Why there is no writable directory, where there is none: a sentence.
  std::string why_not_writable = {};
  /// How long to wait for another process that compiles the same; 0: not at all.
  std::chrono::milliseconds patience = std::chrono::seconds(20);
  /// Code of kernels that is kept in memory.
  std::uint64_t memory_bytes = 64 << 20;
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

/// Thread-safe. Of concurrent requests for one kernel, in all processes that share a writable cache
/// directory, one compiles and the others wait for it; different kernels compile in parallel.
class Jit {
 public:
  Jit(JitOptions options, std::shared_ptr<Log> log)
      : options_(std::move(options)),
        log_(std::move(log)),
        cache_(options_.writable, options_.read_only, options_.further),
        recent_(options_.memory_bytes) {}

  /// The kernel for specs that supports() calls fused, in variants that check_variant() allows.
  /// A failure is remembered: it would fail again.
  KernelResult obtain(const Streams& streams, const Variants& variants, const std::string& target);

  /// Whether obtain() gives the kernel without compiling. Where only one compiler's entries serve,
  /// it is read and kept. One that another thread is making, or that failed, is not at hand.
  bool is_at_hand(const Streams& streams, const Variants& variants, const std::string& target);

  /// What obtain() gives from now on in place of a cached kernel that a driver refused (`why`): it
  /// is compiled anew, once, and replaces the entry.
  KernelResult renew(const Streams& streams, const Variants& variants, const std::string& target,
                     const Error& why);

  /// Whose entries serve, as far as that is known without opening the compiler.
  Wanted wanted();
  /// What each layer of the cache has of a key, up to the one that serves. Changes nothing.
  std::vector<LayerLookup> look(const Key& key) { return cache_.look(key, wanted()); }

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

  /// What is asked for, and where it is in the cache.
  struct Request {
    const Streams& streams;
    const Variants& variants;
    const std::string& target;
    Key key;
  };

  KernelResult make_once(const std::string& digest, bool anew,
                         const std::function<KernelResult()>& make);
  void remember(const std::string& digest, const KernelResult& made);

  KernelResult obtain_anew(const Request& request);
  /// Warns of what is wrong with an entry. `causes` grows by the name of the miss, if it is new.
  void note(const LayerLookup& missed, std::vector<std::string>& causes);
  void say_why(const Request& request, const std::vector<std::string>& causes);
  KernelResult compile_if_allowed(const Request& request, const char* state_of_cache);
  KernelResult compile(const Request& request);
  /// A kernel that the cache gave, with what follows from the key and not from the entry.
  KernelResult hit(Kernel kernel, const Request& request);

  JitOptions options_;
  std::shared_ptr<Log> log_;
  JitCounters counters_;
  KernelCache cache_;

  std::mutex mutex_;                     // guards what follows; never held during I/O or a compile
  std::map<std::string, Slot> kernels_;  // by key digest
  Recent recent_;                        // of kernels_, those that were made
  std::set<std::string> told_;           // what is wrong with entries

  std::once_flag compiler_opened_, toolchain_expected_;
  Result<std::shared_ptr<const Nvrtc>> compiler_;
  std::string toolchain_;  // of the open compiler
  std::string expected_toolchain_;
  std::atomic<bool> was_opened_{false};  // then compiler_ and toolchain_ stay as they are
};

}  // namespace qkjit
