// qkjit precompile: fills a cache directory for deployment, on a machine without a GPU.

#include <algorithm>
#include <atomic>
#include <csignal>
#include <filesystem>

#include "kernels/tile.cuh"
#include "spec/text.hpp"
#include "tools/qkjit/catalog.hpp"
#include "tools/qkjit/commands.hpp"
#include "tools/qkjit/jobs.hpp"
#include "tools/qkjit/manifest.hpp"
#include "tools/qkjit/progress.hpp"
#include "tools/qkjit/report.hpp"
#include "tools/qkjit/session.hpp"

namespace qkjit {
namespace {

struct Options {
  Manifest wanted;
  std::string manifest_file, out;
  int threads = 0;
  bool check = false, dry_run = false, force = false;
};

std::atomic<bool> interrupted{false};

/// A runtime whose only cache is the output directory.
Result<std::unique_ptr<Runtime>> open_target_runtime(const Console& console,
                                                     const Options& options) {
  auto runtime = open_runtime(console);
  if (!runtime) return runtime;
  JitOptions jit = (*runtime)->jit().options();
  jit.writable = CacheDirectory(std::filesystem::absolute(options.out));
  jit.read_only.clear();
  jit.may_compile = !options.check;
  RuntimeOptions settings;
  settings.jit = std::move(jit);
  settings.log = (*runtime)->log();
  return std::make_unique<Runtime>(std::move(settings));
}

void remove_entries(const Options& options, const std::vector<Job>& jobs) {
  const CacheDirectory directory(options.out);
  std::error_code ignored;
  for (const Job& job : jobs) {
    std::filesystem::remove(
        directory.file_of(kernel_key(job.spec, default_variant(job.spec), job.target).digest()),
        ignored);
  }
}

nlohmann::json to_json(const JobResult& result) {
  nlohmann::json item = {{"spec", to_text(result.job.spec)}, {"target", result.job.target}};
  if (!result.kernel) {
    item["error"] = result.kernel.error().message;
    return item;
  }
  item.update(to_json(**result.kernel));
  return item;
}

Exit dry_run(const Console& console, const std::vector<Job>& jobs) {
  nlohmann::json items = nlohmann::json::array();
  for (const Job& job : jobs) {
    items.push_back(
        {{"spec", to_text(job.spec)},
         {"target", job.target},
         {"key", kernel_key(job.spec, default_variant(job.spec), job.target).digest()}});
    console.print(fmt::format("{}  {}", job.target, to_text(job.spec)));
  }
  console.print_json({{"schema", "qkjit.precompile/1"},
                      {"dry_run", true},
                      {"kernels", items},
                      {"compiled", 0},
                      {"hits", 0},
                      {"failed", 0}});
  return Exit::good;
}

Exit precompile(const Console& console, const Options& options) {
  Manifest wanted = options.wanted;
  if (!options.manifest_file.empty()) {
    auto manifest = read_manifest(options.manifest_file);
    if (!manifest) return report(manifest.error());
    wanted.append(*manifest);
  }
  const auto specs = resolve_specs(wanted, console);
  if (!specs) return report(specs.error());
  auto runtime = open_target_runtime(console, options);
  if (!runtime) return report(runtime.error());
  const auto targets = resolve_targets(wanted.targets, (*runtime)->jit());
  if (!targets) return report(targets.error());
  const std::vector<Job> jobs = cross(*specs, *targets);
  if (options.dry_run) return dry_run(console, jobs);
  if (options.force && !options.check) remove_entries(options, jobs);

  const auto previous = std::signal(SIGINT, [](int) { interrupted = true; });
  Progress progress(console, jobs.size());
  const auto results = run_jobs(
      **runtime, jobs, options.threads, [&](const JobResult& result) { progress.step(result); },
      [] { return interrupted.load(); });
  std::signal(SIGINT, previous);
  if (interrupted) {
    console.note("interrupted; finished kernels are kept, run the command again for the rest");
    return Exit::interrupted;
  }

  nlohmann::json items = nlohmann::json::array();
  std::size_t failed = 0;
  for (const JobResult& result : results) {
    items.push_back(to_json(result));
    // A kernel that cannot be kept is no success here, whatever the runtime makes of it.
    const bool stored =
        result.kernel &&
        std::filesystem::exists(CacheDirectory(options.out).file_of((*result.kernel)->key));
    if (stored) continue;
    ++failed;
    fmt::print(
        stderr, "qkjit: {} for {}: {}\n", to_text(result.job.spec), result.job.target,
        result.kernel ? "could not be written to " + options.out : result.kernel.error().message);
  }
  nlohmann::json document = counters_json(**runtime);
  document.update({{"schema", "qkjit.precompile/1"}, {"out", options.out}, {"kernels", items}});
  document["failed"] = failed;
  console.print_json(document);
  console.print(fmt::format("{} kernels in {}: {} compiled, {} were there, {} {}",
                            jobs.size() - failed, options.out, document["compiled"].get<int>(),
                            document["hits"].get<int>(), failed,
                            options.check ? "missing" : "failed"));
  return failed == 0 ? Exit::good : Exit::failed;
}

}  // namespace

void add_precompile(CLI::App& app, const Console& console, Exit& exit) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand(
      "precompile", "Compile kernels into a relocatable cache directory, without a GPU");
  command->add_option("--target", options->wanted.targets, "sm_90, sm_100a, ...; native; or all")
      ->delimiter(',');
  command->add_option("--model", options->wanted.models, "Models by name or file.json, or all");
  command->add_option("--spec", options->wanted.specs,
                      "Specs such as head_dim=128,rope_dim=128,...");
  command->add_option("--manifest", options->manifest_file,
                      "A JSON file with \"models\", \"specs\" and \"targets\" lists");
  command->add_option("--out", options->out, "The cache directory to fill")->required();
  command
      ->add_option("-j,--jobs", options->threads,
                   "Compile on N threads (default: the cores, at most 8)")
      ->check(CLI::PositiveNumber);
  command->add_flag("--check", options->check, "Compile nothing; fail if a kernel is missing");
  command->add_flag("--dry-run", options->dry_run, "List the kernels; needs no compiler");
  command->add_flag("--force", options->force, "Compile also what is there");
  command->callback([options, &console, &exit] { exit = precompile(console, *options); });
}

}  // namespace qkjit
