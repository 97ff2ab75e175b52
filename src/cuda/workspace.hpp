// What tools and tests need of a GPU beside launching: a context, memory, a stream, timing. The
// library's own paths use none of this.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "cuda/driver.hpp"

struct CUgraph_st;

namespace qkjit {

/// Device memory, freed with its scope.
class DeviceBuffer {
 public:
  static Result<DeviceBuffer> allocate(std::shared_ptr<const Driver> driver, std::size_t bytes);

  void* data() const { return data_.get(); }
  std::size_t size() const { return size_; }
  Result<void> upload(const void* from, std::size_t bytes, std::size_t offset = 0) const;
  Result<void> download(void* to, std::size_t bytes, std::size_t offset = 0) const;
  /// Fills the first `bytes` with `pattern`, over and over.
  Result<void> fill(std::span<const std::byte> pattern, std::size_t bytes) const;

 private:
  DeviceBuffer(std::shared_ptr<const Driver> driver, std::shared_ptr<void> data, std::size_t size)
      : driver_(std::move(driver)), data_(std::move(data)), size_(size) {}

  std::shared_ptr<const Driver> driver_;
  std::shared_ptr<void> data_;
  std::size_t size_;
};

/// The device's primary context, current on this thread for the object's life, and a stream in it.
class Workspace {
 public:
  static Result<Workspace> create(std::shared_ptr<const Driver> driver, int device = 0);

  const std::shared_ptr<const Driver>& driver() const { return driver_; }
  Stream stream() const { return stream_.get(); }
  Result<void> synchronize() const;

  using Enqueue = std::function<Result<void>()>;

  /// Records what `enqueue` puts on the stream into a graph and replays it: the microseconds of
  /// each replay, divided by `launches`. Before each replay and outside its time, `before` puts its
  /// own work on the stream; while the GPU is busy with that, the replay is queued, so that its
  /// submission is not timed.
  Result<std::vector<double>> replay_times(const Enqueue& enqueue, int launches, int replays,
                                           const Enqueue& before) const;
  /// The median of such replays, with nothing before them.
  Result<double> time_graph(const Enqueue& enqueue, int launches, int replays = 15) const;

  /// Captures what `enqueue` does and throws the graph away.
  Result<void> capture(const std::function<void()>& enqueue) const;

 private:
  Result<std::shared_ptr<CUgraph_st>> record(const Enqueue& enqueue) const;

  Workspace(std::shared_ptr<const Driver> driver, std::shared_ptr<void> context,
            std::shared_ptr<CUstream_st> stream)
      : driver_(std::move(driver)), context_(std::move(context)), stream_(std::move(stream)) {}

  std::shared_ptr<const Driver> driver_;
  std::shared_ptr<void> context_;  // restores the thread's previous context when it goes
  std::shared_ptr<CUstream_st> stream_;
};

}  // namespace qkjit
