// From a call or a spec to a kernel that is loaded on a device.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "cuda/driver.hpp"
#include "jit/jit.hpp"
#include "kernel_table.hpp"
#include "op/check.hpp"
#include "spec/streams.hpp"
#include "tuning/tuning.hpp"
#include "util/log.hpp"
#include "util/worker_pool.hpp"

namespace qkjit {

/// A loaded fused kernel, as long as its Loader.
struct FusedKernel {
  const LoadedKernel* loaded;
  Variant variant;
  bool is_stand_in;  ///< for a better one that is not loaded now, but may be later
};

/// What to do about code that has to be compiled first.
enum class IfMissing {
  wait,     ///< compile it, or wait for who does
  queue,    ///< have it compiled in the background; another kernel serves
  do_none,  ///< only another kernel serves
};

/// Thread-safe. What is loaded is found without a lock. Each kernel is loaded when a call first
/// needs it or prepare() asks, in the thread of that call: there is the context for it, and there
/// it is known that no stream is captured, during which nothing is loaded. With
/// CompilePolicy::background its code is made by threads of the Loader, and the first call after
/// that loads it. The drivers given must outlive it.
class Loader {
 public:
  /// `tuning_directories` as Tuning takes them.
  Loader(Jit& jit, std::vector<std::filesystem::path> tuning_directories, std::shared_ptr<Log> log)
      : jit_(jit),
        tuning_(std::move(tuning_directories), log),
        log_(std::move(log)),
        pool_(jit.options().background_threads) {}

  /// The best kernel that can be had for a call that the fused path serves: all give the same bits.
  tl::expected<FusedKernel, NoKernel> fused(const Driver& driver, const Operation& op, int device,
                                            Stream stream, IfMissing missing) {
    return fused(driver, op.spec, op.bytes, op.takes_bulk, device, stream, missing);
  }
  /// The same for two calls in one launch: `bytes` of both, `takes_bulk` of both.
  tl::expected<FusedKernel, NoKernel> fused(const Driver& driver, const Streams& streams,
                                            std::uint64_t bytes, bool takes_bulk, int device,
                                            Stream stream, IfMissing missing);
  /// Code::not_ready if it is not loaded and the stream is captured.
  Result<const LoadedKernel*> generic(const Driver& driver, const Spec& spec, int device,
                                      Stream stream);

  /// Loads all that calls of the spec may need. Fused kernels beside the first, and the generic one
  /// beside fused ones, may be missing: that is only logged.
  Result<void> prepare(const Driver& driver, const Spec& spec, int device);
  /// The same for launches of two streams, whose specs both have fused kernels.
  Result<void> prepare(const Driver& driver, const Streams& streams, int device);

  /// What compiles in the background.
  WorkerPool& background() { return pool_; }
  const WorkerPool& background() const { return pool_; }

  /// Loads that failed, tries that were repeated included.
  std::uint64_t failed() const { return failed_; }
  const TimeSum& load_time() const { return load_time_; }

 private:
  using Loaded = tl::expected<LoadedKernel, NoKernel>;

  tl::expected<const TableEntry*, NoKernel> fused_entry(const Driver& driver,
                                                        const Streams& streams, int device,
                                                        Stream stream, IfMissing missing);
  tl::expected<const LoadedKernel*, NoKernel> ready(const Driver& driver, const Streams& streams,
                                                    const TableKernel& kernel, int device,
                                                    Stream stream, IfMissing missing);
  Result<void> load_all(const Driver& driver, const Streams& streams, int device);
  Result<void> load_generic(const Driver& driver, const Spec& spec, int device, bool is_needed);
  Result<const TableKernel*> generic_kernel(const Driver& driver, const Spec& spec, int device);

  // In loader_code.cpp, what makes code.
  enum class Compile { side_by_side, one_by_one, later };
  Result<TableEntry> find_code(const Driver& driver, const Streams& streams, int device,
                               Compile how, const std::stop_token& stop = {});
  TableEntry find_code(const Driver& driver, const Streams& streams, const Choices& choices,
                       const std::string& target, Compile how, const std::stop_token& stop);
  void compile_later(const Driver& driver, const Streams& streams, const TableKernel& kernel,
                     int device);
  void find_other_code(const Driver& driver, const Streams& streams, int device,
                       const std::stop_token& stop);
  Loaded load_code(const Driver& driver, const Streams& streams, const Choice& choice,
                   const std::string& target);
  Loaded checked(Result<LoadedKernel> loaded);
  void warn_without(const Streams& streams, const Choice& choice, const Error& why);

  Jit& jit_;
  Tuning tuning_;
  std::shared_ptr<Log> log_;
  KernelTable table_;
  std::atomic<std::uint64_t> failed_{0};
  TimeSum load_time_;
  WorkerPool pool_;  // the last, so that it ends before what its jobs use
};

}  // namespace qkjit
