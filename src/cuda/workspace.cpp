#include "cuda/workspace.hpp"

#include <algorithm>
#include <vector>

#include "cuda/api.hpp"

namespace qkjit {
namespace {

CUdeviceptr address(const void* pointer, std::size_t offset) {
  return reinterpret_cast<CUdeviceptr>(pointer) + offset;
}

struct Event {
  explicit Event(const CudaApi& cuda) : api(cuda) { api.event_create(&event, CU_EVENT_DEFAULT); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  ~Event() { api.event_destroy(event); }

  const CudaApi& api;
  CUevent event = nullptr;
};

}  // namespace

Result<DeviceBuffer> DeviceBuffer::allocate(std::shared_ptr<const Driver> driver,
                                            std::size_t bytes) {
  CUdeviceptr pointer = 0;
  const CUresult result = driver->api().mem_alloc(&pointer, std::max<std::size_t>(bytes, 1));
  if (result != CUDA_SUCCESS) return driver->failure("allocate device memory", result);
  std::shared_ptr<void> data(reinterpret_cast<void*>(pointer), [driver](void* p) {
    driver->api().mem_free(reinterpret_cast<CUdeviceptr>(p));
  });
  return DeviceBuffer(std::move(driver), std::move(data), bytes);
}

Result<void> DeviceBuffer::upload(const void* from, std::size_t bytes, std::size_t offset) const {
  CUresult result = driver_->api().copy_to_device(address(data(), offset), from, bytes);
  // The call may return before pageable memory has arrived, and only the default stream, on which
  // it was copied, waits for it.
  if (result == CUDA_SUCCESS) result = driver_->api().stream_synchronize(nullptr);
  if (result != CUDA_SUCCESS) return driver_->failure("copy to the device", result);
  return {};
}

Result<void> DeviceBuffer::download(void* to, std::size_t bytes, std::size_t offset) const {
  const CUresult result = driver_->api().copy_to_host(to, address(data(), offset), bytes);
  if (result != CUDA_SUCCESS) return driver_->failure("copy from the device", result);
  return {};
}

Result<void> DeviceBuffer::fill(std::span<const std::byte> pattern, std::size_t bytes) const {
  std::size_t filled = std::min(pattern.size(), bytes);
  if (auto uploaded = upload(pattern.data(), filled); !uploaded) return uploaded;
  CUresult result = CUDA_SUCCESS;
  while (filled < bytes && result == CUDA_SUCCESS) {  // doubling what is there
    const std::size_t next = std::min(filled, bytes - filled);
    result = driver_->api().copy_on_device(address(data(), filled), address(data(), 0), next);
    filled += next;
  }
  if (result == CUDA_SUCCESS) result = driver_->api().stream_synchronize(nullptr);
  if (result != CUDA_SUCCESS) return driver_->failure("fill device memory", result);
  return {};
}

Result<Workspace> Workspace::create(std::shared_ptr<const Driver> driver, int device) {
  const CudaApi& api = driver->api();
  CUcontext context = nullptr, previous = nullptr;
  api.ctx_get_current(&previous);
  CUresult result = api.primary_ctx_retain(&context, device);
  if (result != CUDA_SUCCESS) return driver->failure("retain the device's context", result);
  std::shared_ptr<void> owner(context, [driver, device, previous](void*) {
    driver->api().ctx_set_current(previous);
    driver->api().primary_ctx_release(device);
  });
  CUstream stream = nullptr;
  result = api.ctx_set_current(context);
  if (result == CUDA_SUCCESS) result = api.stream_create(&stream, CU_STREAM_NON_BLOCKING);
  if (result != CUDA_SUCCESS) return driver->failure("create a stream", result);
  std::shared_ptr<CUstream_st> stream_owner(
      stream, [driver](CUstream s) { driver->api().stream_destroy(s); });
  return Workspace(std::move(driver), std::move(owner), std::move(stream_owner));
}

Result<void> Workspace::synchronize() const {
  const CUresult result = driver_->api().stream_synchronize(stream());
  if (result != CUDA_SUCCESS) return driver_->failure("finish the work on the stream", result);
  return {};
}

Result<std::shared_ptr<CUgraph_st>> Workspace::record(const Enqueue& enqueue) const {
  const CudaApi& api = driver_->api();
  CUresult result = api.begin_capture(stream(), CU_STREAM_CAPTURE_MODE_THREAD_LOCAL);
  if (result != CUDA_SUCCESS) return driver_->failure("begin a capture", result);
  const Result<void> enqueued = enqueue();
  CUgraph graph = nullptr;
  result = api.end_capture(stream(), &graph);
  std::shared_ptr<CUgraph_st> owner(graph, [driver = driver_](CUgraph g) {
    if (g) driver->api().graph_destroy(g);
  });
  if (!enqueued) return tl::unexpected(enqueued.error());
  if (result != CUDA_SUCCESS) return driver_->failure("end a capture", result);
  return owner;
}

Result<void> Workspace::capture(const std::function<void()>& enqueue) const {
  const auto graph = record([&]() -> Result<void> {
    enqueue();
    return {};
  });
  if (!graph) return tl::unexpected(graph.error());
  return {};
}

Result<std::vector<double>> Workspace::replay_times(const Enqueue& enqueue, int launches,
                                                    int replays, const Enqueue& before) const {
  const CudaApi& api = driver_->api();
  const auto graph = record(enqueue);
  if (!graph) return tl::unexpected(graph.error());
  CUgraphExec exec = nullptr;
  CUresult result = api.graph_instantiate(&exec, graph->get(), 0);
  if (result != CUDA_SUCCESS) return driver_->failure("build a graph", result);
  const std::shared_ptr<CUgraphExec_st> owner(
      exec, [driver = driver_](CUgraphExec e) { driver->api().graph_exec_destroy(e); });

  const Event start(api), stop(api);
  std::vector<double> times;
  for (int i = 0; i <= replays; ++i) {  // the first is a warm-up
    if (auto queued = before(); !queued) return tl::unexpected(queued.error());
    float milliseconds = 0;
    result = api.event_record(start.event, stream());
    if (result == CUDA_SUCCESS) result = api.graph_launch(exec, stream());
    if (result == CUDA_SUCCESS) result = api.event_record(stop.event, stream());
    if (result == CUDA_SUCCESS) result = api.stream_synchronize(stream());
    if (result == CUDA_SUCCESS) {
      result = api.event_elapsed(&milliseconds, start.event, stop.event);
    }
    if (result != CUDA_SUCCESS) return driver_->failure("replay a graph", result);
    if (i > 0) times.push_back(1e3 * milliseconds / launches);
  }
  return times;
}

Result<double> Workspace::time_graph(const Enqueue& enqueue, int launches, int replays) const {
  auto times = replay_times(enqueue, launches, replays, [] { return Result<void>{}; });
  if (!times) return tl::unexpected(times.error());
  const auto middle = times->begin() + static_cast<std::ptrdiff_t>(times->size() / 2);
  std::ranges::nth_element(*times, middle);
  return *middle;
}

}  // namespace qkjit
