// A program that exits in the middle of a background compile, in the way that its argument names;
// exit_test.cpp runs it with slow_nvrtc.cpp as its NVRTC.
#include <dlfcn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <string>
#include <thread>

#include "tests/driver/calls.hpp"

using namespace std::chrono_literals;

/// Of a build with AddressSanitizer: what threads that exit() stops in their tracks have is no leak.
extern "C" const char* __asan_default_options() { return "detect_leaks=0"; }

namespace {

constexpr int kWrong = 3;

qkjit_runtime* start_runtime() {
  qkjit_runtime_options options = QKJIT_RUNTIME_OPTIONS_INIT;
  options.compile = QKJIT_COMPILE_BACKGROUND;
  qkjit_runtime* runtime = nullptr;
  if (qkjit_runtime_create(&options, &runtime) != QKJIT_OK) std::_Exit(kWrong);
  return runtime;
}

int compiles_begun() {
  void* const library = dlopen(std::getenv("QKJIT_NVRTC"), RTLD_NOW | RTLD_NOLOAD);
  if (!library) return 0;
  const auto begun = reinterpret_cast<int (*)()>(dlsym(library, "slow_nvrtc_begun"));
  const int count = begun();
  dlclose(library);
  return count;
}

/// Launches a call whose kernel is not there, and returns when its compile, the `nth`, has begun.
void launch(qkjit_runtime* runtime, qkjit_rounding rounding, int nth) {
  qkjit_args args = qkjit::test::small_call();
  args.spec.rounding = rounding;
  qkjit_dispatch dispatch{};
  if (qkjit_launch(runtime, &args, nullptr, &dispatch) != QKJIT_OK) std::_Exit(kWrong);
  if (dispatch.reason != QKJIT_REASON_COMPILE_PENDING) std::_Exit(kWrong);
  while (compiles_begun() < nth) std::this_thread::sleep_for(1ms);
}

}  // namespace

int main(int, char** arguments) {
  const std::string way = arguments[1];
  ::alarm(60);  // what hangs dies then
  qkjit_runtime* const runtime = start_runtime();
  launch(runtime, QKJIT_ROUNDING_FUSED, 1);
  if (way == "destroy") qkjit_runtime_destroy(runtime);
  if (way == "quick") std::_Exit(0);
  if (way == "later") {
    if (qkjit_wait_idle(runtime, -1) != QKJIT_OK) return kWrong;
    launch(runtime, QKJIT_ROUNDING_SPLIT, compiles_begun() + 1);
  }
  if (way == "thread" || way == "later") std::thread([] { std::exit(0); }).join();
  if (way == "child") {
    const pid_t child = ::fork();
    if (child == 0) std::exit(0);
    int status = 0;
    if (::waitpid(child, &status, 0) != child || status != 0) return kWrong;
  }
  return 0;  // from "main"
}
