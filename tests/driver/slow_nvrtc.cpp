// A libnvrtc whose compiles take half a second, and which aborts if one goes on after its
// destructors have run, as NVIDIA's crashes then. Without nvrtc.h: only its C interface matters.
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>

namespace {

constexpr auto kStep = std::chrono::milliseconds(1);
constexpr int kSteps = 500;

std::atomic<int> begun{0};
std::atomic<bool> is_gone{false};

/// Gone with its first destructor, which gives a compile that still runs the time to notice.
struct Part {
  ~Part() {
    is_gone = true;
    std::this_thread::sleep_for(20 * kStep);
  }
};
const Part loaded_with_the_library;

const std::string kOutput = "cubin of the slow compiler";

}  // namespace

extern "C" {

/// How many compiles have begun.
int slow_nvrtc_begun();
int slow_nvrtc_begun() { return begun; }

int nvrtcVersion(int* major, int* minor);
int nvrtcVersion(int* major, int* minor) { return *major = 13, *minor = 9, 0; }
const char* nvrtcGetErrorString(int error);
const char* nvrtcGetErrorString(int) { return "error"; }
int nvrtcGetNumSupportedArchs(int* count);
int nvrtcGetNumSupportedArchs(int* count) { return *count = 1, 0; }
int nvrtcGetSupportedArchs(int* archs);
int nvrtcGetSupportedArchs(int* archs) { return *archs = 90, 0; }

int nvrtcCreateProgram(void** program, const char*, const char*, int, const char* const*,
                       const char* const*);
int nvrtcCreateProgram(void** program, const char*, const char*, int, const char* const*,
                       const char* const*) {
  return *program = new int, 0;
}
int nvrtcDestroyProgram(void** program);
int nvrtcDestroyProgram(void** program) { return delete static_cast<int*>(*program), 0; }

using Callback = int (*)(void*, void*);
thread_local Callback callback = nullptr;
thread_local void* callback_data = nullptr;
int nvrtcSetFlowCallback(void*, Callback set, void* data);
int nvrtcSetFlowCallback(void*, Callback set, void* data) {
  return callback = set, callback_data = data, 0;
}

int nvrtcCompileProgram(void*, int, const char* const*);
int nvrtcCompileProgram(void*, int, const char* const*) {
  static const Part made_by_the_first_compile;
  for (int i = 0; i < kSteps; ++i) {
    callback(callback_data, nullptr);
    if (i == 0) ++begun;
    std::this_thread::sleep_for(kStep);
    if (is_gone) std::abort();
  }
  return 0;
}

int nvrtcGetPTXSize(void*, std::size_t* size);
int nvrtcGetPTXSize(void*, std::size_t* size) { return *size = kOutput.size() + 1, 0; }
int nvrtcGetPTX(void*, char* to);
int nvrtcGetPTX(void*, char* to) { return std::memcpy(to, kOutput.c_str(), kOutput.size() + 1), 0; }
int nvrtcGetCUBINSize(void*, std::size_t* size);
int nvrtcGetCUBINSize(void*, std::size_t* size) { return *size = kOutput.size(), 0; }
int nvrtcGetCUBIN(void*, char* to);
int nvrtcGetCUBIN(void*, char* to) { return std::memcpy(to, kOutput.data(), kOutput.size()), 0; }
int nvrtcGetProgramLogSize(void*, std::size_t* size);
int nvrtcGetProgramLogSize(void*, std::size_t* size) { return *size = 1, 0; }
int nvrtcGetProgramLog(void*, char* to);
int nvrtcGetProgramLog(void*, char* to) { return *to = '\0', 0; }

}  // extern "C"
