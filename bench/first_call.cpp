// What the first call of a process costs, against NVRTC's time for an empty kernel: the medians of
// fresh processes, each of which opens NVRTC once.
//
//   qkjit_first_call [SPEC] [TARGET]
//
// "empty": open NVRTC and compile `__global__ void empty() {}`. "cold": a runtime with an empty
// cache compiles the spec's kernel and keeps it. "warm": the same with that cache, so without
// NVRTC.
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <vector>

#include "options.hpp"
#include "spec/text.hpp"
#include "util/environment.hpp"

namespace qkjit {
namespace {

constexpr int kSamples = 11;

/// Milliseconds that `work` takes in a child process; below 0 if it fails there.
double time_in_child(const std::function<bool()>& work) {
  int ends[2];
  if (pipe(ends) != 0) return -1;
  const pid_t child = fork();
  if (child == 0) {
    const auto start = std::chrono::steady_clock::now();
    const bool good = work();
    const std::chrono::duration<double, std::milli> elapsed =
        std::chrono::steady_clock::now() - start;
    const double result = good ? elapsed.count() : -1;
    _exit(write(ends[1], &result, sizeof(result)) == sizeof(result) ? 0 : 1);
  }
  close(ends[1]);
  double result = -1;
  if (read(ends[0], &result, sizeof(result)) != sizeof(result)) result = -1;
  close(ends[0]);
  waitpid(child, nullptr, 0);
  return result;
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

bool compile_empty(const std::string& target) {
  const auto nvrtc = Nvrtc::open(environment("QKJIT_NVRTC"));
  return nvrtc && (*nvrtc)->compile(
                      {"/qkjit/empty.cu", "extern \"C\" __global__ void empty() {}", {}, target});
}

bool obtain_kernel(const Spec& spec, const std::string& target, const std::string& directory) {
  qkjit_runtime_options options = QKJIT_RUNTIME_OPTIONS_INIT;
  options.cache_dir = directory.c_str();
  auto resolved = resolve_options(options);
  return resolved && Runtime(std::move(*resolved)).compile(spec, target);
}

int measure(const Spec& spec, const std::string& target) {
  std::string directory = std::filesystem::temp_directory_path() / "qkjit_first_call.XXXXXX";
  if (!mkdtemp(directory.data())) return 4;
  std::vector<double> empty, cold, warm;
  for (int i = 0; i < kSamples; ++i) {  // in turn, so that a busy machine disturbs all three alike
    empty.push_back(time_in_child([&] { return compile_empty(target); }));
    std::filesystem::remove_all(directory);
    cold.push_back(time_in_child([&] { return obtain_kernel(spec, target, directory); }));
    warm.push_back(time_in_child([&] { return obtain_kernel(spec, target, directory); }));
  }
  std::filesystem::remove_all(directory);
  if (std::ranges::min(empty) < 0 || std::ranges::min(cold) < 0 || std::ranges::min(warm) < 0) {
    std::fputs("a compile failed; see `qkjit doctor`\n", stderr);
    return 1;
  }
  std::printf("%s for %s, medians of %d processes\n", to_text(spec).c_str(), target.c_str(),
              kSamples);
  std::printf("empty kernel %8.2f ms\ncold call    %8.2f ms  %.2f x empty\nwarm call    %8.2f ms\n",
              median(empty), median(cold), median(cold) / median(empty), median(warm));
  return 0;
}

}  // namespace
}  // namespace qkjit

int main(int argc, char** argv) {
  const auto spec = qkjit::parse_spec(
      argc > 1 ? argv[1] : "head_dim=128,rope_dim=128,layout=interleaved,dtype=bf16");
  if (!spec) {
    std::fprintf(stderr, "%s\n", spec.error().message.c_str());
    return 2;
  }
  return qkjit::measure(*spec, argc > 2 ? argv[2] : "sm_90");
}
