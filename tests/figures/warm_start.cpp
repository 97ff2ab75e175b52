// How long a process with a filled cache takes until its kernels are ready to load, what it asks of
// the system for that, and how long a kernel that is in memory takes to find. bench/reliability.py
// runs it. usage: qkjit_warm_start   (fills a temporary cache first, with the compiler that is
// here)
#include <fmt/format.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>

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

  bool operator==(const Wanted20&) const = default;
};

[[noreturn]] void stop(const std::string& why) {
  fmt::print(stderr, "qkjit_warm_start: {}\n", why);
  std::exit(1);
}

/// The first kernels of the models, in alphabetical order, each once.
std::vector<Wanted20> wanted_kernels() {
  std::vector<Wanted20> wanted;
  for (const std::string& name : model_names()) {
    const auto model = find_model(name);
    if (!model) stop(model.error().message);
    for (const Spec& spec : specs_of(*model)) {
      if (!require_fused(spec)) continue;
      for (const Choice& choice : builtin_choices(spec, kTarget)) {
        const Wanted20 next{spec, choice.variant};
        const bool is_new = std::ranges::find(wanted, next) == wanted.end();
        if (is_new && wanted.size() < kKernels) wanted.push_back(next);
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

double cpu_ms() {
  timespec time{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) * 1e3 + static_cast<double>(time.tv_nsec) / 1e6;
}

bool has_loaded(const char* library) {
  std::ifstream maps("/proc/self/maps");
  const std::string text(std::istreambuf_iterator<char>(maps), {});
  return text.find(library) != std::string::npos;
}

struct Start {
  double first_ms, all_ms;  ///< from the Jit's beginning to its first kernel, and to all
  double cpu_ms;            ///< of the processor, to all: what a busy machine does not change
  bool opened_compiler;
};

/// What a fresh process measures of itself; stops if the cache does not serve all.
Start measure_start(const std::filesystem::path& place) {
  const auto wanted = wanted_kernels();
  const double cpu_begin = cpu_ms();
  const auto begin = std::chrono::steady_clock::now();
  Jit jit(options_for(place), *Log::create(nullptr, nullptr, ""));
  obtain_all(jit, {wanted.front()});
  const double first = ms_since(begin);
  obtain_all(jit, {wanted.begin() + 1, wanted.end()});
  const Start start{first, ms_since(begin), cpu_ms() - cpu_begin, has_loaded("libnvrtc")};
  if (jit.counters().compiled != 0) stop("a warm start compiled");
  return start;
}

/// Between its two signals to itself are all kernels but the first, which also asks for the
/// directories above the cache and for the compiler's identity.
void obtain_between_signals(const std::filesystem::path& place) {
  const auto wanted = wanted_kernels();
  const std::vector<Wanted20> others(wanted.begin() + 1, wanted.end());
  Jit jit(options_for(place), *Log::create(nullptr, nullptr, ""));
  obtain_all(jit, {wanted.front()});
  if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) std::exit(3);
  ::raise(SIGSTOP);
  obtain_all(jit, others);
  ::raise(SIGSTOP);
}

/// This program anew, with nothing of what this process has loaded; its output goes to `output`.
pid_t start_anew(const char* what, const std::filesystem::path& place, int output) {
  const pid_t child = ::fork();
  if (child != 0) return child;
  ::dup2(output, STDOUT_FILENO);
  ::execl("/proc/self/exe", "qkjit_warm_start", what, place.c_str(), nullptr);
  ::_exit(127);
}

Start warm_start(const std::filesystem::path& place) {
  int ends[2];
  if (::pipe(ends) != 0) stop("no pipe");
  const pid_t child = start_anew("start", place, ends[1]);
  ::close(ends[1]);
  Start start{};
  const bool got = ::read(ends[0], &start, sizeof(start)) == sizeof(start);
  int status = 0;
  if (::waitpid(child, &status, 0) != child || status != 0 || !got) stop("no warm start");
  ::close(ends[0]);
  return start;
}

/// What the cache does not ask for: memory, and the second signal.
bool is_counted(std::uint64_t call) {
  constexpr std::uint64_t kOthers[] = {SYS_brk,    SYS_mmap,   SYS_munmap,        SYS_getpid,
                                       SYS_gettid, SYS_tgkill, SYS_rt_sigprocmask};
  return std::ranges::find(kOthers, call) == std::end(kOthers);
}

/// System calls for all kernels but the first; -1 where processes may not be traced.
int system_calls(const std::filesystem::path& place) {
  const pid_t child = start_anew("calls", place, STDERR_FILENO);
  int status = 0, counted = 0;
  ::waitpid(child, &status, 0);
  if (!WIFSTOPPED(status)) return -1;
  for (bool is_entry = true;; is_entry = !is_entry) {
    ::ptrace(PTRACE_SYSCALL, child, nullptr, nullptr);
    ::waitpid(child, &status, 0);
    if (!WIFSTOPPED(status) || WSTOPSIG(status) == SIGSTOP) break;
    user_regs_struct registers{};
    if (is_entry && ::ptrace(PTRACE_GETREGS, child, nullptr, &registers) == 0) {
      counted += is_counted(registers.orig_rax);
    }
  }
  ::kill(child, SIGKILL);
  ::waitpid(child, &status, 0);
  return counted;
}

/// Fills the cache, in a process that goes.
void fill(const std::filesystem::path& place) {
  Jit jit(options_for(place), *Log::create(nullptr, nullptr, ""));
  fmt::print("figure\tbytes of code\t{}\n", obtain_all(jit, wanted_kernels()));
}

/// The lookup of a launch: of 100 specs, each in turn.
double lookup_ns() {
  KernelTable table;
  std::vector<KernelTable::Key> keys;
  for (int i = 1; i <= 100; ++i) {
    keys.push_back(KernelTable::fused_key({.head_dim = 8 * i, .rope_dim = 8}, 0));
    table.insert(keys.back(), {});
  }
  double best = 1e9;  // of many short rounds: others share the machine
  for (int round = 0; round < 1000; ++round) {
    std::size_t found = 0;
    const auto begin = std::chrono::steady_clock::now();
    for (int i = 0; i < 10; ++i) {
      for (const auto& key : keys) found += table.find(key) != nullptr;
    }
    best = std::min(best, ms_since(begin) * 1e6 / 1000);
    if (found != 10 * keys.size()) stop("a kernel was lost");
  }
  return best;
}

double median(std::vector<double> values) {
  std::ranges::nth_element(values, values.begin() + values.size() / 2);
  return values[values.size() / 2];
}

}  // namespace

int main(int count, char** arguments) {
  if (count == 3) {
    const std::string_view what = arguments[1];
    if (what == "fill") fill(arguments[2]);
    if (what == "calls") obtain_between_signals(arguments[2]);
    if (what != "start") return 0;
    const Start start = measure_start(arguments[2]);
    return ::write(STDOUT_FILENO, &start, sizeof(start)) == sizeof(start) ? 0 : 1;
  }
  std::string name = (std::filesystem::temp_directory_path() / "qkjit_warm_XXXXXX").string();
  if (!::mkdtemp(name.data())) stop("no temporary directory");
  const std::filesystem::path root = name, place = root / "cache";
  int status = 0;
  ::waitpid(start_anew("fill", place, STDOUT_FILENO), &status, 0);
  if (status != 0) stop("the cache cannot be filled");
  std::size_t bytes = 0;
  for (const auto& file : CacheDirectory(place).list()) bytes += file.bytes;
  std::vector<double> first, all, cpu;
  bool opened = false;
  for (int i = 0; i < kProcesses; ++i) {
    const Start start = warm_start(place);
    first.push_back(start.first_ms), all.push_back(start.all_ms), cpu.push_back(start.cpu_ms);
    opened |= start.opened_compiler;
  }
  const int calls = system_calls(place);
  fmt::print("figure\tkernels\t{}\n", kKernels);
  fmt::print("figure\tbytes of their entries\t{}\n", bytes);
  fmt::print("figure\twarm start, first kernel, ms\t{:.3f}\n", median(first));
  fmt::print("figure\twarm start, all kernels, ms\t{:.3f}\n", median(all));
  fmt::print("figure\tfastest warm start, all kernels, ms\t{:.3f}\n",
             *std::ranges::min_element(all));
  fmt::print("figure\twarm start, all kernels, ms of CPU time\t{:.3f}\n", median(cpu));
  fmt::print("figure\tlibnvrtc opened\t{}\n", opened ? "yes" : "no");
  fmt::print("figure\tsystem calls a kernel\t{}\n",
             calls < 0 ? "not traceable" : fmt::format("{:.2f}", calls / (kKernels - 1.0)));
  fmt::print("figure\tmemory lookup, ns\t{:.1f}\n", lookup_ns());
  std::error_code ignored;
  std::filesystem::remove_all(root, ignored);
}
