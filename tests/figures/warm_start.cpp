// How long a process with a filled cache takes until its kernels are ready to load, what it asks of
// the system for that, and how long a kernel that is in memory takes to find. bench/reliability.py
// runs it. usage: qkjit_warm_start   (fills a temporary cache first, with the compiler that is
// here)
#include <fmt/format.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <numeric>

#include "jit/jit.hpp"
#include "kernel_table.hpp"
#include "spec/support.hpp"
#include "tools/qkjit/catalog.hpp"
#include "tuning/builtin.hpp"

using namespace qkjit;

namespace {

constexpr std::size_t kKernels = 20;
constexpr int kProcesses = 41;
constexpr const char* kTarget = "sm_90";

struct Wanted20 {
  Spec spec;
  Variant variant;
};

[[noreturn]] void stop(const std::string& why) {
  fmt::print(stderr, "qkjit_warm_start: {}\n", why);
  std::exit(1);
}

/// The first kernels of the models, in alphabetical order.
std::vector<Wanted20> wanted_kernels() {
  std::vector<Wanted20> wanted;
  for (const std::string& name : model_names()) {
    const auto model = find_model(name);
    if (!model) stop(model.error().message);
    for (const Spec& spec : specs_of(*model)) {
      if (!require_fused(spec)) continue;
      for (const Choice& choice : builtin_choices(spec, kTarget)) {
        if (wanted.size() < kKernels) wanted.push_back({spec, choice.variant});
      }
    }
  }
  return wanted;
}

JitOptions options_for(const std::filesystem::path& place) {
  JitOptions options;
  options.writable = CacheDirectory(place);
  options.open_compiler = [] { return Nvrtc::open(""); };
  options.find_compiler = [] { return Nvrtc::find(""); };
  return options;
}

/// Bytes of code; stops if a kernel cannot be had.
std::size_t obtain_all(Jit& jit, const std::vector<Wanted20>& wanted) {
  std::size_t bytes = 0;
  for (const auto& [spec, variant] : wanted) {
    const auto kernel = jit.obtain(spec, variant, kTarget);
    if (!kernel) stop(kernel.error().error.message);
    bytes += (*kernel)->cubin.size();
  }
  return bytes;
}

double ms_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin)
      .count();
}

bool has_loaded(const char* library) {
  std::ifstream maps("/proc/self/maps");
  const std::string text(std::istreambuf_iterator<char>(maps), {});
  return text.find(library) != std::string::npos;
}

struct Start {
  double first_ms, all_ms;  ///< from the Jit's beginning to its first kernel, and to all
  bool opened_compiler;
};

/// In a process of its own, as a host would.
Start warm_start(const std::filesystem::path& place, const std::vector<Wanted20>& wanted) {
  int ends[2];
  if (::pipe(ends) != 0) stop("no pipe");
  const pid_t child = ::fork();
  if (child == 0) {
    const auto begin = std::chrono::steady_clock::now();
    Jit jit(options_for(place), *Log::create(nullptr, nullptr, ""));
    obtain_all(jit, {wanted.front()});
    const double first = ms_since(begin);
    obtain_all(jit, wanted);
    const Start start{first, ms_since(begin), has_loaded("libnvrtc")};
    ::_exit(jit.counters().compiled == 0 && ::write(ends[1], &start, sizeof(start)) == sizeof(start)
                ? 0
                : 1);
  }
  Start start{};
  const bool got = ::read(ends[0], &start, sizeof(start)) == sizeof(start);
  int status = 0;
  if (::waitpid(child, &status, 0) != child || status != 0 || !got) stop("a warm start compiled");
  ::close(ends[0]), ::close(ends[1]);
  return start;
}

/// System calls between two signals that the child sends itself: before and after all kernels but
/// the first, which also asks for the directories above the cache and for the compiler's identity.
int system_calls(const std::filesystem::path& place, const std::vector<Wanted20>& wanted) {
  const pid_t child = ::fork();
  if (child == 0) {
    Jit jit(options_for(place), *Log::create(nullptr, nullptr, ""));
    obtain_all(jit, {wanted.front()});
    if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) ::_exit(3);
    ::raise(SIGSTOP);
    obtain_all(jit, wanted);
    ::raise(SIGSTOP);
    ::_exit(0);
  }
  int status = 0, stops = 0;
  ::waitpid(child, &status, 0);
  if (!WIFSTOPPED(status)) return -1;
  for (;; ++stops) {
    ::ptrace(PTRACE_SYSCALL, child, nullptr, nullptr);
    ::waitpid(child, &status, 0);
    if (!WIFSTOPPED(status) || WSTOPSIG(status) == SIGSTOP) break;
  }
  ::ptrace(PTRACE_KILL, child, nullptr, nullptr);
  ::waitpid(child, &status, 0);
  // Each call stops at its entry and its return; raise() itself makes a few after the last kernel.
  return stops / 2;
}

/// The lookup of a launch: of 100 specs, each in turn.
double lookup_ns() {
  KernelTable table;
  std::vector<KernelTable::Key> keys;
  for (int i = 1; i <= 100; ++i) {
    keys.push_back(KernelTable::fused_key({.head_dim = 8 * i, .rope_dim = 8}, 0));
    table.insert(keys.back(), {});
  }
  constexpr int kRounds = 100'000;
  std::size_t found = 0;
  const auto begin = std::chrono::steady_clock::now();
  for (int round = 0; round < kRounds; ++round) {
    for (const auto& key : keys) found += table.find(key) != nullptr;
  }
  const double ns = ms_since(begin) * 1e6 / kRounds / 100;
  if (found != kRounds * keys.size()) stop("a kernel was lost");
  return ns;
}

double median(std::vector<double> values) {
  std::ranges::nth_element(values, values.begin() + values.size() / 2);
  return values[values.size() / 2];
}

}  // namespace

int main() {
  std::string name = (std::filesystem::temp_directory_path() / "qkjit_warm_XXXXXX").string();
  if (!::mkdtemp(name.data())) stop("no temporary directory");
  const std::filesystem::path root = name, place = root / "cache";
  const auto wanted = wanted_kernels();
  std::size_t bytes = 0;
  {
    Jit jit(options_for(place), *Log::create(nullptr, nullptr, ""));
    bytes = obtain_all(jit, wanted);
  }
  std::size_t files = 0;
  for (const auto& file : CacheDirectory(place).list()) files += file.bytes;
  std::vector<double> first, all;
  bool opened = false;
  for (int i = 0; i < kProcesses; ++i) {
    const Start start = warm_start(place, wanted);
    first.push_back(start.first_ms), all.push_back(start.all_ms);
    opened |= start.opened_compiler;
  }
  const int calls = system_calls(place, wanted);
  fmt::print("figure\tkernels\t{}\n", wanted.size());
  fmt::print("figure\tbytes of code, of entries\t{} {}\n", bytes, files);
  fmt::print("figure\twarm start, first kernel, ms\t{:.3f}\n", median(first));
  fmt::print("figure\twarm start, all kernels, ms\t{:.3f}\n", median(all));
  fmt::print("figure\tfastest warm start, all kernels, ms\t{:.3f}\n",
             *std::ranges::min_element(all));
  fmt::print("figure\tlibnvrtc opened\t{}\n", opened ? "yes" : "no");
  fmt::print("figure\tsystem calls a kernel\t{}\n",
             calls < 0 ? "not traceable" : fmt::format("{:.2f}", calls / (kKernels - 1.0)));
  fmt::print("figure\tmemory lookup, ns\t{:.1f}\n", lookup_ns());
  std::error_code ignored;
  std::filesystem::remove_all(root, ignored);
}
