#include "compile/nvrtc.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <optional>

#include "compile/api.hpp"
#include "util/environment.hpp"
#include "util/library_search.hpp"
#include "util/worker_pool.hpp"

namespace qkjit {
namespace {

/// In order: the caller's choice alone; else sonames, newest first, then usual toolkit directories,
/// then the library that this build was configured with.
std::vector<std::string> candidates(const std::string& library) {
  if (!library.empty()) return {library};
  std::vector<std::string> all = {"libnvrtc.so.13", "libnvrtc.so.12"};
  for (const std::string& root : {environment("CUDAToolkit_ROOT"), environment("CUDA_HOME"),
                                  std::string("/usr/local/cuda")}) {
    if (root.empty()) continue;
    for (const char* name : {"/lib64/libnvrtc.so.13", "/lib64/libnvrtc.so.12"})
      all.push_back(root + name);
  }
  all.push_back(QKJIT_NVRTC_LIBRARY);
  return all;
}

/// sm_90a needs sm_90, and so on: the suffixed targets that NVRTC takes beside those it lists.
std::vector<std::string> suffixed(int arch, int version) {
  std::vector<std::string> all = {fmt::format("sm_{}", arch)};
  if (arch >= 90) all.push_back(fmt::format("sm_{}a", arch));
  if (arch >= 100 && version >= 12090) all.push_back(fmt::format("sm_{}f", arch));
  return all;
}

using Clock = std::chrono::steady_clock;

/// NVRTC asks many times during a compile whether to go on.
class Questions {
 public:
  /// `is_first`: NVRTC has compiled nothing yet.
  explicit Questions(bool is_first) : is_first_(is_first) {}

  /// In any thread. In its first compile NVRTC registers destructors again and again, which exit()
  /// would run under it: then what waits at exit is registered anew, to come before them.
  static int go_on(void* self, void*) {
    auto& questions = *static_cast<Questions*>(self);
    Clock::rep none = 0;
    questions.first_after_.compare_exchange_strong(none, (Clock::now() - questions.start_).count());
    if (questions.is_first_) WorkerPool::expect_exit();
    return 0;
  }

  /// It asks for the first time when its front end is done: within 2 ms of what its own --time
  /// says, which would be a file of each compile's.
  std::optional<std::chrono::nanoseconds> front_end() const {
    const Clock::duration after(first_after_);
    return after.count() > 0 ? std::optional<std::chrono::nanoseconds>(after) : std::nullopt;
  }

 private:
  const bool is_first_;
  const Clock::time_point start_ = Clock::now();
  std::atomic<Clock::rep> first_after_{0};
};

/// One nvrtcProgram, destroyed with its scope.
class Program {
 public:
  explicit Program(const NvrtcApi& api) : api_(api) {}
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;
  ~Program() {
    if (program_) api_.destroy_program(&program_);
  }

  nvrtcResult create(const CompileRequest& request) {
    std::vector<std::string> names, texts;
    for (const EmbeddedFile& header : request.headers) {
      names.emplace_back(header.name);
      texts.emplace_back(header.text);
    }
    const auto name_pointers = pointers(names);
    const auto text_pointers = pointers(texts);
    return api_.create_program(&program_, request.text.c_str(), request.file.c_str(),
                               static_cast<int>(names.size()), text_pointers.data(),
                               name_pointers.data());
  }

  /// `questions` must outlive the compile.
  void answer(Questions& questions) {
    if (api_.set_flow_callback) api_.set_flow_callback(program_, Questions::go_on, &questions);
  }

  nvrtcResult compile(const std::vector<std::string>& options) {
    const auto option_pointers = pointers(options);
    return api_.compile_program(program_, static_cast<int>(options.size()), option_pointers.data());
  }

  /// An output given by a pair of functions, its size and its bytes; empty if there is none.
  std::string output(nvrtcResult (*size_of)(nvrtcProgram, size_t*),
                     nvrtcResult (*get)(nvrtcProgram, char*)) {
    std::size_t size = 0;
    if (size_of(program_, &size) != NVRTC_SUCCESS || size == 0) return {};
    std::string bytes(size, '\0');
    if (get(program_, bytes.data()) != NVRTC_SUCCESS) return {};
    return bytes;
  }

  /// Text outputs end in a NUL that is not part of them.
  std::string text(nvrtcResult (*size_of)(nvrtcProgram, size_t*),
                   nvrtcResult (*get)(nvrtcProgram, char*)) {
    std::string bytes = output(size_of, get);
    while (!bytes.empty() && bytes.back() == '\0') bytes.pop_back();
    return bytes;
  }

 private:
  static std::vector<const char*> pointers(const std::vector<std::string>& strings) {
    std::vector<const char*> all;
    for (const std::string& string : strings) all.push_back(string.c_str());
    return all;
  }

  const NvrtcApi& api_;
  nvrtcProgram program_ = nullptr;
};

/// NVRTC opens its builtins by bare name and has no run path. Where the dynamic linker does not
/// look (PyPI's wheels, a toolkit unknown to ldconfig) it finds them only if they are already
/// loaded. If they are not beside NVRTC either, its own error says so when it compiles.
std::optional<DynamicLibrary> builtins_beside(const std::string& nvrtc, int major, int minor) {
  const std::string folder = nvrtc.substr(0, nvrtc.rfind('/') + 1);
  const std::string path[] = {fmt::format("{}libnvrtc-builtins.so.{}.{}", folder, major, minor)};
  auto opened = DynamicLibrary::open(path);
  if (!opened) return std::nullopt;
  return std::move(*opened);
}

class OpenedNvrtc final : public Nvrtc {
 public:
  OpenedNvrtc(DynamicLibrary library, std::optional<DynamicLibrary> builtins, NvrtcApi api,
              int version)
      : library_(std::move(library)),
        builtins_(std::move(builtins)),
        api_(api),
        version_(version) {}

  const std::string& path() const override { return library_.path(); }
  std::string version() const override {
    return fmt::format("{}.{}", version_ / 1000, version_ % 1000 / 10);
  }

  std::vector<std::string> targets() const override {
    int count = 0;
    if (api_.num_supported_archs(&count) != NVRTC_SUCCESS) return {};
    std::vector<int> archs(static_cast<std::size_t>(count));
    if (api_.supported_archs(archs.data()) != NVRTC_SUCCESS) return {};
    std::vector<std::string> all;
    for (const int arch : archs) {
      for (std::string& target : suffixed(arch, version_)) all.push_back(std::move(target));
    }
    return all;
  }

  Result<Compiled> compile(const CompileRequest& request) const override {
    if (auto known = check_target(request.target); !known) return tl::unexpected(known.error());
    Program program(api_);
    if (const nvrtcResult result = program.create(request); result != NVRTC_SUCCESS) {
      return fail(Code::compile_failed, "NVRTC {} could not create a program for {}: {}", version(),
                  request.file, api_.error_string(result));
    }
    std::vector<std::string> options = compile_options(request.target);
    // These change nothing in the output. Without the first, NVRTC loads libcuda for a cache of its
    // own; without the second it raises the stack limit of the whole process while it compiles.
    if (version_ >= 12090) options.push_back("--no-cache");
    options.push_back("--modify-stack-limit=false");
    Questions questions(!has_compiled_);
    program.answer(questions);
    const nvrtcResult result = program.compile(options);
    if (!has_compiled_.exchange(true)) WorkerPool::expect_exit();
    Compiled compiled;
    compiled.front_end = questions.front_end();
    compiled.log = program.text(api_.log_size, api_.log);
    if (result != NVRTC_SUCCESS) {
      return fail(Code::compile_failed, "NVRTC {} failed on {} with {}: {}\n{}", version(),
                  request.file, fmt::join(options, " "), api_.error_string(result), compiled.log);
    }
    compiled.cubin = program.output(api_.cubin_size, api_.cubin);
    compiled.ptx = program.text(api_.ptx_size, api_.ptx);
    compiled.resources = parse_resources(compiled.log);
    return compiled;
  }

 private:
  Result<void> check_target(const std::string& target) const {
    const std::vector<std::string> known = targets();
    const std::string real =
        target.starts_with("compute_") ? "sm_" + target.substr(sizeof("compute_") - 1) : target;
    if (std::find(known.begin(), known.end(), real) != known.end()) return {};
    return fail(Code::invalid_argument, "target '{}' is not one of NVRTC {}'s: use one of {}",
                target, version(), fmt::join(known, ", "));
  }

  DynamicLibrary library_;
  std::optional<DynamicLibrary> builtins_;
  NvrtcApi api_;
  int version_;  ///< 13000 for 13.0
  mutable std::atomic<bool> has_compiled_{false};
};

}  // namespace

std::vector<std::string> compile_options(const std::string& target) {
  // -v always: ptxas stores its command line in the cubin, so "sometimes" would change the bytes.
  return {"--gpu-architecture=" + target, "--std=c++20", "--ptxas-options=-v"};
}

std::string Nvrtc::find(const std::string& library) { return find_library(candidates(library)); }

Result<std::shared_ptr<const Nvrtc>> Nvrtc::open(const std::string& library) {
  auto opened = DynamicLibrary::open(candidates(library));
  if (!opened) {
    return fail(
        Code::not_ready,
        "NVRTC is missing ({}): install the CUDA toolkit's libnvrtc, or name it in QKJIT_NVRTC",
        opened.error().message);
  }
  WorkerPool::expect_exit();  // before its destructors
  NvrtcApi api{};
  int major = 0, minor = 0;
  if (!api.bind(*opened) || api.version(&major, &minor) != NVRTC_SUCCESS) {
    return fail(
        Code::not_ready,
        "{} is no NVRTC, or one far too old: name a libnvrtc of 12.0 or newer in QKJIT_NVRTC",
        opened->path());
  }
  if (major < 12) {
    return fail(Code::not_ready,
                "{} is NVRTC {}.{}: 12.0 or newer is needed; name one in QKJIT_NVRTC",
                opened->path(), major, minor);
  }
  auto builtins = builtins_beside(opened->path(), major, minor);
  return std::make_shared<OpenedNvrtc>(std::move(*opened), std::move(builtins), api,
                                       major * 1000 + minor * 10);
}

}  // namespace qkjit
