// What tools and tests need of a GPU beside launching: a context, memory, a stream, timing. The
// library's own paths use none of this.
#pragma once

#include <functional>
#include <memory>
#include <span>

#include "cuda/driver.hpp"

namespace qkjit {

/// Device memory, freed with its scope.
class DeviceBuffer {
 public:
  static Result<DeviceBuffer> allocate(std::shared_ptr<const Driver> driver, std::size_t bytes);

  void* data() const { return data_.get(); }
  std::size_t size() const { return size_; }
  Result<void> upload(const void* from, std::size_t bytes, std::size_t offset = 0) const;
  Result<void> download(void* to, std::size_t bytes, std::size_t offset = 0) const;

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

  /// Records what `enqueue` puts on the stream into a graph and replays it: the median microseconds
  /// of one replay, divided by `launches`.
  Result<double> time_graph(const std::function<Result<void>()>& enqueue, int launches,
                            int replays = 15) const;

  /// Captures what `enqueue` does and throws the graph away.
  Result<void> capture(const std::function<void()>& enqueue) const;

 private:
  Workspace(std::shared_ptr<const Driver> driver, std::shared_ptr<void> context,
            std::shared_ptr<CUstream_st> stream)
      : driver_(std::move(driver)), context_(std::move(context)), stream_(std::move(stream)) {}

  std::shared_ptr<const Driver> driver_;
  std::shared_ptr<void> context_;  // restores the thread's previous context when it goes
  std::shared_ptr<CUstream_st> stream_;
};

}  // namespace qkjit
