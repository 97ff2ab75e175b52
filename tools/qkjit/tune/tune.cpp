// qkjit tune: measures the variants on the GPU at hand and writes the table that the library reads.
#include <algorithm>
#include <filesystem>
#include <set>

#include "spec/support.hpp"
#include "spec/text.hpp"
#include "tools/qkjit/bench/selection.hpp"
#include "tools/qkjit/commands.hpp"
#include "tools/qkjit/progress.hpp"
#include "tools/qkjit/session.hpp"
#include "tools/qkjit/tune/tune_report.hpp"
#include "tuning/table.hpp"
#include "util/file.hpp"

namespace qkjit {
namespace tune {
namespace {

struct Options {
  std::string model;
  std::vector<std::string> specs;
  std::vector<std::int64_t> tokens = {256, 1024, 4096, 16384, 65536};
  int heads_q = 24, heads_k = 24, replays = 7;
  std::string out;
};

/// Each spec at ascending sizes.
using Plan = std::vector<std::vector<bench::Case>>;

Result<Plan> plan_of(const Options& options) {
  std::vector<bench::Case> wanted;
  for (const std::string& spec : options.specs) {
    auto cases =
        bench::select_cases({.spec = spec, .heads_q = options.heads_q, .heads_k = options.heads_k});
    if (!cases) return tl::unexpected(cases.error());
    wanted.insert(wanted.end(), cases->begin(), cases->end());
  }
  if (!options.model.empty()) {
    auto cases = bench::select_cases({.model = options.model});
    if (!cases) return tl::unexpected(cases.error());
    wanted.insert(wanted.end(), cases->begin(), cases->end());
  }
  Plan plan;
  std::vector<Spec> seen;
  for (const bench::Case& one : wanted) {
    if (auto fused = require_fused(one.spec); !fused) return tl::unexpected(fused.error());
    if (std::ranges::find(seen, one.spec) != seen.end()) continue;
    seen.push_back(one.spec);
    std::vector<bench::Case> sizes;
    for (const std::int64_t tokens : std::set(options.tokens.begin(), options.tokens.end())) {
      sizes.push_back(bench::spec_case(one.spec, tokens, one.heads_q, one.heads_k));
    }
    plan.push_back(std::move(sizes));
  }
  return plan;
}

/// The directory for the table, made if need be: that of --out, as open as any, or the private
/// cache directory in which the runtime looks.
Result<std::filesystem::path> directory_of(const Options& options, const Console& console) {
  if (!options.out.empty()) {
    std::error_code error;
    std::filesystem::create_directories(options.out, error);
    if (!error) return std::filesystem::path(options.out);
    return fail(Code::cache_io, "cannot create {}: {}", options.out, error.message());
  }
  const auto runtime = open_runtime(console);
  if (!runtime) return tl::unexpected(runtime.error());
  const auto& writable = (*runtime)->jit().options().writable;
  if (!writable) {
    return fail(Code::cache_io, "there is no cache directory to write to: give --out");
  }
  if (auto created = create_private_directory(writable->path()); !created) {
    return tl::unexpected(created.error());
  }
  return writable->path();
}

/// The table that is there already. One that the library would not take is replaced, and said to
/// be.
nlohmann::json table_in(const Report& report, const Console& console) {
  std::error_code ignored;
  if (!std::filesystem::exists(report.file, ignored)) return nlohmann::json::object();
  const auto text = read_file(report.file, kMaxTuningBytes);
  if (text && parse_tuning(*text, report.device, report.target)) {
    return nlohmann::json::parse(*text);
  }
  console.note(fmt::format("{} cannot be used and is replaced", report.file));
  return nlohmann::json::object();
}

Result<Report> measure(const Console& console, const Options& options, Runtime& runtime,
                       const Plan& plan) {
  const auto place = find_place("gpu");
  if (!place) return tl::unexpected(place.error());
  const Workspace& gpu = *place->gpu;
  const auto device = gpu.driver()->device_name(0);
  if (!device) return tl::unexpected(device.error());
  const auto directory = directory_of(options, console);
  if (!directory) return tl::unexpected(directory.error());
  const auto l2_bytes = gpu.driver()->l2_bytes(0);
  if (!l2_bytes) return tl::unexpected(l2_bytes.error());
  std::vector<bench::Case> all;
  for (const auto& sizes : plan) all.insert(all.end(), sizes.begin(), sizes.end());
  auto contest = bench::Contest::open(
      runtime, gpu, bench::method_for(*l2_bytes, options.replays, false), all, place->target);
  if (!contest) return tl::unexpected(contest.error());

  const auto file = *directory / tuning_file_name(*device, place->target);
  Report report{*device, gpu.driver()->version(), place->target, file.string(), {}};
  const nlohmann::json before = table_in(report, console);
  // The cache is its user's alone; what --out names may be for others.
  const mode_t mode = options.out.empty() ? 0600 : new_file_mode();
  Progress progress(console, plan.size());
  for (const auto& sizes : plan) {
    auto result = tune_spec(runtime, gpu, *contest, sizes, place->target);
    if (!result) return tl::unexpected(result.error());
    report.specs.push_back(std::move(*result));
    // After each spec: what was measured stays, whatever happens to the next.
    const std::string table = table_json(report, before).dump(1);
    if (auto written = publish_file(file, table, mode); !written) {
      return tl::unexpected(written.error());
    }
    progress.step(to_text(sizes.front().spec));
  }
  return report;
}

Exit run(const Console& console, const Options& options) {
  const auto plan = plan_of(options);
  if (!plan) return qkjit::report(plan.error());
  const auto opened = open_runtime(console);
  if (!opened) return qkjit::report(opened.error());
  const auto runtime = without_cache(**opened);  // most of the kernels nobody will want again
  const auto report = measure(console, options, *runtime, *plan);
  if (!report) return qkjit::report(report.error());
  print(console, *report, counters_json(*runtime));
  return Exit::good;
}

}  // namespace
}  // namespace tune

void add_tune(CLI::App& app, const Console& console, Exit& exit) {
  auto options = std::make_shared<tune::Options>();
  CLI::App* command = app.add_subcommand(
      "tune", "Measure kernel variants on this GPU and write the table that the library reads");
  auto* what = command->add_option_group("what", "At least one of");
  what->add_option("--model", options->model, "The specs of a model, by name or file.json");
  what->add_option("--spec", options->specs,
                   "head_dim=128,rope_dim=128,layout=neox,dtype=bf16; repeat");
  what->require_option(1, 2);
  command->add_option("--tokens", options->tokens, "Sizes to measure at")
      ->delimiter(',')
      ->check(CLI::Range(std::int64_t{1}, kMaxTokens))
      ->capture_default_str();
  command->add_option("--heads-q", options->heads_q, "Of --spec")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  command->add_option("--heads-k", options->heads_k, "Of --spec")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  command->add_option("--replays", options->replays, "Of each graph; medians are compared")
      ->check(CLI::Range(1, 10000))
      ->capture_default_str();
  command->add_option("--out", options->out,
                      "Directory of the table; the kernel cache's if left out");
  command->callback([options, &console, &exit] { exit = tune::run(console, *options); });
}

}  // namespace qkjit
