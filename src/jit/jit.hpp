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
#include <stop_token>
#include <string>
#include <vector>

#include "cache/recent.hpp"
#include "compile/nvrtc.hpp"
#include "jit/counters.hpp"
#include "jit/kernel_cache.hpp"
#include "kernels/variant.cuh"
#include "spec/path.hpp"
#include "spec/streams.hpp"
#include "util/fork.hpp"
#include "util/log.hpp"

namespace qkjit {

/// What to do for a kernel that is in no cache: the call waits for the compile, or another kernel
/// serves while it is compiled (by whom, is the caller's affair), or for ever.
enum class CompilePolicy { block, background, never };

struct JitOptions {
  std::optional<CacheDirectory> writable;    ///< none: kernels stay in memory
  std::vector<ReadOnlyDirectory> read_only;  ///< looked up after the writable one
  CompilePolicy compile = CompilePolicy::block;
  unsigned background_threads = 2;  ///< that compile at most at once, with that policy
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

/// A NoKernel of the Jit has a reason, but where it was asked to stop.
using KernelResult = tl::expected<std::shared_ptr<const Kernel>, NoKernel>;

/// Cache key of a fused kernel: schema, sources, spec and variant of each stream, target, options.
/// The kernel headers stand in it as digests: their text would be most of every entry, to be read
/// and hashed on every hit. Not the compiler, so that a machine without one finds what another
/// compiled.
Key kernel_key(const Streams& streams, const Variants& variants, const std::string& target);

/// Thread-safe. Of concurrent requests for one kernel, in all processes that share a writable cache
/// directory, one compiles and the others wait for it; different kernels compile in parallel.
///
/// In a forked child what its parent was making is made anew when it is wanted. But a child that
/// was forked while its parent compiled, compiles nothing: a lock inside the compiler may be held
/// for ever.
class Jit {
 public:
  Jit(JitOptions options, std::shared_ptr<Log> log)
      : options_(std::move(options)),
        log_(std::move(log)),
        cache_(options_.writable, options_.read_only, options_.further),
        recent_(options_.memory_bytes) {}

  /// The kernel for specs that supports() calls fused, in variants that check_variant() allows.
  /// A failure is remembered: it would fail again. `stop` ends the wait for another process, and
  /// keeps a compile from beginning.
  KernelResult obtain(const Streams& streams, const Variants& variants, const std::string& target,
                      const std::stop_token& stop = {});

  /// The same of what need not be made: in memory, failures too, or in a directory. Else
  /// Reason::compile_pending, also while another thread makes it. A directory is read at once, even
  /// for a call that must not be held up: a hit takes some 100 us, which nobody notices in the
  /// first call of a spec, and spares it the slower kernel. Further layers are left to obtain().
  KernelResult find(const Streams& streams, const Variants& variants, const std::string& target);

  /// Whether find() would give the kernel. Where only one compiler's entries serve, it is read and
  /// kept; else the cache's files are not read. One that another thread is making, or that failed,
  /// is not at hand.
  bool is_at_hand(const Streams& streams, const Variants& variants, const std::string& target);

  /// Says that a driver refused a cached kernel, and why. The next obtain() compiles it anew, once,
  /// and replaces the entry; until then it is not at hand.
  void reject(const Streams& streams, const Variants& variants, const std::string& target,
              const Error& why);

  /// Whose entries serve, as far as that is known without opening the compiler.
  Wanted wanted();
  /// What each layer of the cache has of a key, up to the one that serves. Changes nothing.
  std::vector<LayerLookup> look(const Key& key) { return cache_.look(key, wanted(), Reach::all); }

  /// The compiler, opened now if it was not before.
  Result<std::shared_ptr<const Nvrtc>> compiler();

  const JitOptions& options() const { return options_; }
  const JitCounters& counters() const { return counters_; }

 private:
  /// A kernel that one thread makes and all others wait for.
  struct Slot {
    std::shared_future<KernelResult> result = {};  // none: rejected, and to be compiled
    bool is_renewed = false;
    unsigned made_in = fork_generation();

    bool is_made() const;
    bool is_being_made() const;
  };

  /// What is asked for, and where it is in the cache.
  struct Request {
    const Streams& streams;
    const Variants& variants;
    const std::string& target;
    Key key;
    const std::stop_token& stop;
  };

  KernelResult make(const Request& request, bool anew);
  void keep(const std::string& digest, const KernelResult& made);

  bool may_compile() const;
  std::optional<Kernel> read(const Request& request, const Wanted& wanted, Reach reach,
                             std::vector<std::string>& causes);
  KernelResult obtain_anew(const Request& request);
  /// Warns of what is wrong with an entry. `causes` grows by the name of the miss, if it is new.
  void note(const LayerLookup& missed, std::vector<std::string>& causes);
  void say_why(const Request& request, const std::vector<std::string>& causes);
  KernelResult compile_if_allowed(const Request& request, const char* state_of_cache);
  KernelResult compile(const Request& request);
  /// What the cache gave, with what follows from the key and not from the entry.
  Kernel hit(CacheHit found, const Request& request);

  JitOptions options_;
  std::shared_ptr<Log> log_;
  JitCounters counters_;
  KernelCache cache_;

  ForkMutex mutex_;                      // guards what follows; never held during I/O or a compile
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
