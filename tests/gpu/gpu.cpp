#include "tests/gpu/gpu.hpp"

#include <fmt/format.h>

#include "tests/support/compare.hpp"

namespace qkjit::test {
namespace {

qkjit_runtime_options with_cache(qkjit_runtime_options options, const std::filesystem::path& path) {
  options.cache_dir = path.c_str();
  return options;
}

/// Every block begins on such a boundary, as an allocation would.
constexpr std::size_t kBlockAlignment = 256;

std::vector<std::size_t> block_offsets(const Problem& problem) {
  std::vector<std::size_t> offsets = {0};
  for (const Block& block : problem.blocks()) {
    const std::size_t end = offsets.back() + block.bytes.size();
    offsets.push_back((end + kBlockAlignment - 1) / kBlockAlignment * kBlockAlignment);
  }
  return offsets;
}

std::string text_of(qkjit_dispatch dispatch) {
  return fmt::format("{} ({})", qkjit_path_string(dispatch.path),
                     qkjit_reason_string(dispatch.reason));
}

}  // namespace

void take(qkjit_status status) {
  if (status != QKJIT_OK) throw std::runtime_error(qkjit_last_error());
}

Gpu::Gpu(const qkjit_runtime_options& options)
    : workspace_(take(Workspace::create(take(Driver::open())))),
      runtime_(make_runtime(with_cache(options, cache_.path()))) {}

std::string Gpu::target() const {
  const Driver& driver = *workspace_.driver();
  return take(driver.target(take(driver.current_device())));
}

RuntimePointer Gpu::another_runtime(qkjit_runtime_options options) const {
  return make_runtime(with_cache(options, cache_.path()));
}

DeviceProblem::DeviceProblem(const Workspace& workspace, const Problem& problem)
    : workspace_(workspace),
      problem_(problem),
      offsets_(block_offsets(problem)),
      memory_(take(DeviceBuffer::allocate(workspace.driver(), offsets_.back()))) {
  for (std::size_t i = 0; i < problem.blocks().size(); ++i) {
    const auto& bytes = problem.blocks()[i].bytes;
    take(memory_.upload(bytes.data(), bytes.size(), offsets_[i]));
  }
}

qkjit_args DeviceProblem::args(qkjit_path path) const {
  std::vector<void*> bases;
  for (const std::size_t offset : offsets_) {
    bases.push_back(static_cast<std::byte*>(memory_.data()) + offset);
  }
  qkjit_args args = problem_.args(bases);
  args.path = path;
  return args;
}

qkjit_status DeviceProblem::launch(qkjit_runtime* runtime, qkjit_path path,
                                   qkjit_dispatch& dispatch) const {
  const qkjit_args call = args(path);
  return qkjit_launch(runtime, &call, workspace_.stream(), &dispatch);
}

Problem DeviceProblem::download() const {
  take(workspace_.synchronize());
  Problem downloaded = problem_;
  for (std::size_t i = 0; i < downloaded.blocks().size(); ++i) {
    auto& bytes = downloaded.blocks()[i].bytes;
    take(memory_.download(bytes.data(), bytes.size(), offsets_[i]));
  }
  return downloaded;
}

std::string difference_on_device(const Workspace& workspace, qkjit_runtime* runtime,
                                 const Problem& before, const Problem& expected, qkjit_path path,
                                 qkjit_dispatch wanted) {
  const DeviceProblem device(workspace, before);
  qkjit_dispatch taken{};
  if (device.launch(runtime, path, taken) != QKJIT_OK) {
    return fmt::format("{}\n  {}", qkjit_last_error(), to_text(before.config()));
  }
  if (taken.path != wanted.path || taken.reason != wanted.reason) {
    return fmt::format("took {}, not {}\n  {}", text_of(taken), text_of(wanted),
                       to_text(before.config()));
  }
  return first_difference(qkjit_path_string(taken.path), expected, device.download());
}

void check_every_path(const Gpu& gpu, const ProblemConfig& config, qkjit_dispatch best) {
  const Problem before(config);
  Problem expected = before;
  run_on_host(expected);
  CHECK(first_stray_write(before, expected) == "");
  const auto difference = [&](qkjit_path path, qkjit_dispatch wanted) {
    return difference_on_device(gpu.workspace(), gpu.runtime(), before, expected, path, wanted);
  };
  CHECK(difference(QKJIT_PATH_NONE, best) == "");
  CHECK(difference(QKJIT_PATH_GENERIC, {QKJIT_PATH_GENERIC, QKJIT_REASON_REQUESTED}) == "");
}

}  // namespace qkjit::test
