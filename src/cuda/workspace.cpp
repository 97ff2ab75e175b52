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

Result<void> Workspace::capture(const std::function<void()>& enqueue) const {
  const CudaApi& api = driver_->api();
  CUgraph graph = nullptr;
  CUresult result = api.begin_capture(stream(), CU_STREAM_CAPTURE_MODE_THREAD_LOCAL);
  if (result != CUDA_SUCCESS) return driver_->failure("begin a capture", result);
  enqueue();
  result = api.end_capture(stream(), &graph);
  if (result != CUDA_SUCCESS) return driver_->failure("end a capture", result);
  api.graph_destroy(graph);
  return {};
}

Result<double> Workspace::time_graph(const std::function<Result<void>()>& enqueue, int launches,
                                     int replays) const {
  const CudaApi& api = driver_->api();
  CUgraph graph = nullptr;
  CUgraphExec exec = nullptr;
  CUresult result = api.begin_capture(stream(), CU_STREAM_CAPTURE_MODE_THREAD_LOCAL);
  if (result != CUDA_SUCCESS) return driver_->failure("begin a capture", result);
  const Result<void> enqueued = enqueue();
  result = api.end_capture(stream(), &graph);
  if (!enqueued) return tl::unexpected(enqueued.error());
  if (result == CUDA_SUCCESS) result = api.graph_instantiate(&exec, graph, 0);
  if (result != CUDA_SUCCESS) return driver_->failure("build a graph", result);

  const Event start(api), stop(api);
  std::vector<double> times;
  for (int i = 0; i <= replays; ++i) {  // the first is a warm-up
    api.event_record(start.event, stream());
    api.graph_launch(exec, stream());
    api.event_record(stop.event, stream());
    result = api.stream_synchronize(stream());
    float milliseconds = 0;
    api.event_elapsed(&milliseconds, start.event, stop.event);
    if (i > 0) times.push_back(1e3 * milliseconds / launches);
  }
  api.graph_exec_destroy(exec);
  api.graph_destroy(graph);
  if (result != CUDA_SUCCESS) return driver_->failure("replay a graph", result);
  std::ranges::nth_element(times, times.begin() + times.size() / 2);
  return times[times.size() / 2];
}

}  // namespace qkjit
