#include "tools/qkjit/execute.hpp"

#include <algorithm>
#include <chrono>

namespace qkjit {
namespace {

constexpr std::size_t kRotatedBytes = std::size_t{512} << 20;  // several times the largest L2
constexpr std::size_t kMostBuffers = 64;
constexpr int kLaunches = 64;

Result<DeviceBuffer> upload(const std::shared_ptr<const Driver>& driver,
                            const std::vector<std::byte>& block) {
  auto buffer = DeviceBuffer::allocate(driver, block.size());
  if (!buffer) return buffer;
  if (auto copied = buffer->upload(block.data(), block.size()); !copied) {
    return tl::unexpected(copied.error());
  }
  return buffer;
}

/// What launches write: rotated, and copied back.
constexpr Workload::Block kWritten[] = {Workload::kQk, Workload::kOutputs};

/// Median time of a launch over rotating copies of q, k and v, and of where results go.
Result<double> time_launches(Runtime& runtime, const Workspace& gpu, const Workload& work,
                             Workload::Bases bases) {
  std::size_t bytes = 0;
  for (const Workload::Block block : kWritten) bytes += work.blocks[block].size();
  const std::size_t count = std::clamp<std::size_t>(kRotatedBytes / bytes + 1, 1, kMostBuffers);
  std::vector<DeviceBuffer> buffers;
  std::vector<qkjit_args> calls;
  for (std::size_t i = 0; i < count; ++i) {
    for (const Workload::Block block : kWritten) {
      auto buffer = upload(gpu.driver(), work.blocks[block]);
      if (!buffer) return tl::unexpected(buffer.error());
      bases[block] = buffer->data();
      buffers.push_back(std::move(*buffer));
    }
    calls.push_back(work.args_at(bases));
  }
  const auto enqueue = [&]() -> Result<void> {
    for (int i = 0; i < kLaunches; ++i) {
      const auto done = runtime.launch(calls[static_cast<std::size_t>(i) % count], gpu.stream());
      if (!done) return tl::unexpected(done.error());
    }
    return {};
  };
  return gpu.time_graph(enqueue, kLaunches);
}

}  // namespace

Result<Executed> execute_on_host(Runtime& runtime, Workload& work) {
  const auto start = std::chrono::steady_clock::now();
  const auto dispatch = runtime.launch_on_host(work.args);
  const std::chrono::duration<double, std::micro> elapsed =
      std::chrono::steady_clock::now() - start;
  if (!dispatch) return tl::unexpected(dispatch.error());
  return Executed{*dispatch, elapsed.count()};
}

Result<Executed> execute_on_device(Runtime& runtime, const Workspace& gpu, Workload& work) {
  std::vector<DeviceBuffer> buffers;
  Workload::Bases bases{};
  for (std::size_t i = 0; i < work.blocks.size(); ++i) {
    auto buffer = upload(gpu.driver(), work.blocks[i]);
    if (!buffer) return tl::unexpected(buffer.error());
    bases[i] = buffer->data();
    buffers.push_back(std::move(*buffer));
  }
  const auto dispatch = runtime.launch(work.args_at(bases), gpu.stream());
  if (!dispatch) return tl::unexpected(dispatch.error());
  if (auto done = gpu.synchronize(); !done) return tl::unexpected(done.error());
  if (work.tokens() == 0) return Executed{*dispatch, 0};

  const auto microseconds = time_launches(runtime, gpu, work, bases);
  if (!microseconds) return tl::unexpected(microseconds.error());
  for (const Workload::Block block : kWritten) {
    std::vector<std::byte>& host = work.blocks[block];
    if (auto copied = buffers[block].download(host.data(), host.size()); !copied) {
      return tl::unexpected(copied.error());
    }
  }
  return Executed{*dispatch, *microseconds};
}

}  // namespace qkjit
