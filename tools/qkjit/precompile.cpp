// qkjit precompile: fills a cache directory for deployment, on a machine without a GPU.

#include <unistd.h>

#include <atomic>
#include <csignal>
#include <filesystem>

#include "cache/names.hpp"
#include "spec/text.hpp"
#include "spec/variant.hpp"
#include "tools/qkjit/bundle/contents.hpp"
#include "tools/qkjit/catalog.hpp"
#include "tools/qkjit/commands.hpp"
#include "tools/qkjit/failures.hpp"
#include "tools/qkjit/jobs.hpp"
#include "tools/qkjit/manifest.hpp"
#include "tools/qkjit/progress.hpp"
#include "tools/qkjit/report.hpp"
#include "tools/qkjit/session.hpp"
#include "util/file.hpp"

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
  jit.patience = {};  // nothing but entries in what is deployed: no lock's file
  jit.compile = options.check ? CompilePolicy::never : CompilePolicy::block;
  RuntimeOptions settings;
  settings.jit = std::move(jit);
  settings.log = (*runtime)->log();
  return std::make_unique<Runtime>(std::move(settings));
}

/// The directory exists, and with --force it has none of the wanted entries. Those go only when
/// there is a compiler to make them again.
Result<void> prepare_output(const Options& options, const std::vector<Job>& jobs,
                            Runtime& runtime) {
  std::error_code error;  // the umask decides who may use what is deployed
  std::filesystem::create_directories(options.out, error);
  if (error) {
    return fail(Code::cache_io, "cannot create directory {}: {}", options.out, error.message());
  }
  if (access(options.out.c_str(), W_OK | X_OK) != 0) {
    return fail(Code::cache_io, "{} is not writable: give --out another directory", options.out);
  }
  if (!options.force) return {};
  if (auto compiler = runtime.jit().compiler(); !compiler) return tl::unexpected(compiler.error());
  const CacheDirectory directory(options.out);
  std::error_code ignored;
  for (const Job& job : jobs) {
    std::filesystem::remove(directory.file_of(job.key().digest()), ignored);
  }
  return {};
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
    items.push_back({{"spec", to_text(job.spec)},
                     {"target", job.target},
                     {"variant", to_text(job.variant)},
                     {"key", job.key().digest()}});
    console.print(fmt::format("{}  {}  {}", job.target, to_text(job.spec), to_text(job.variant)));
  }
  console.print_json({{"schema", "qkjit.precompile/1"},
                      {"dry_run", true},
                      {"kernels", items},
                      {"compiled", 0},
                      {"hits", 0},
                      {"failed", 0}});
  return Exit::good;
}

/// A cache keeps its entries private; what is deployed gets the permissions of any new file.
void share_entries(const std::vector<JobResult>& results, const Options& options) {
  const CacheDirectory directory(options.out);
  const auto permissions = static_cast<std::filesystem::perms>(new_file_mode());
  std::error_code ignored;  // files of another user stay as they are
  for (const JobResult& result : results) {
    if (!result.kernel || options.check) continue;
    const std::filesystem::path file = directory.file_of((*result.kernel)->key);
    std::filesystem::permissions(file, permissions, ignored);
    // What was damaged, and is replaced, is not for deployment.
    std::filesystem::remove_all(file.string() + std::string(kQuarantineSuffix), ignored);
  }
}

/// A manifest of all that is there: its entries serve also where another compiler is.
Result<void> describe_output(const Options& options) {
  const auto contents = contents_of(CacheDirectory(std::filesystem::absolute(options.out)));
  if (!contents) return tl::unexpected(contents.error());
  const std::string manifest = to_text(contents->bundle);
  const auto old =
      read_file(std::filesystem::path(options.out) / kBundleManifest, kMaxManifestBytes);
  if (contents->files.empty() || old == manifest) return {};
  return publish_manifest(options.out, manifest, "", new_file_mode());
}

Failures collect_failures(const std::vector<JobResult>& results, const Options& options) {
  const CacheDirectory directory(options.out);
  Failures failures;
  for (const JobResult& result : results) {
    if (!result.kernel && options.check) {
      failures.add(result.job, {Code::not_ready, options.out + " is not complete"});
    } else if (!result.kernel) {
      failures.add(result.job, result.kernel.error());
    } else if (!std::filesystem::exists(directory.file_of((*result.kernel)->key))) {
      // A kernel that cannot be kept is no success here, whatever the runtime makes of it.
      failures.add(result.job, {Code::cache_io, "kernels could not be written to " + options.out});
    }
  }
  return failures;
}

void print_results(const Console& console, const Options& options,
                   const std::vector<JobResult>& results, const Failures& failures,
                   const Runtime& runtime) {
  nlohmann::json document = counters_json(runtime);
  document.update({{"schema", "qkjit.precompile/1"},
                   {"out", options.out},
                   {"failed", failures.count()},
                   {"kernels", nlohmann::json::array()}});
  for (const JobResult& result : results) document["kernels"].push_back(to_json(result));
  console.print_json(document);
  console.print(fmt::format("{} kernels in {}: {} compiled, {} were there, {} {}",
                            results.size() - failures.count(), options.out,
                            document["compiled"].get<int>(), document["hits"].get<int>(),
                            failures.count(), options.check ? "missing" : "failed"));
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
  if (!options.check) {
    if (auto prepared = prepare_output(options, jobs, **runtime); !prepared) {
      return report(prepared.error());
    }
  }

  const auto previous = std::signal(SIGINT, [](int) { interrupted = true; });
  Progress progress(console, jobs.size());
  const auto results = run_jobs(
      **runtime, jobs, options.threads, [&](const JobResult& result) { progress.step(result); },
      [] { return interrupted.load(); });
  std::signal(SIGINT, previous);

  share_entries(results, options);
  const auto described = options.check ? Result<void>{} : describe_output(options);
  const Failures failures = collect_failures(results, options);
  failures.print();
  print_results(console, options, results, failures, **runtime);
  if (results.size() < jobs.size()) {
    console.note("interrupted; finished kernels are kept, run the command again for the rest");
    return Exit::interrupted;
  }
  if (!described) return report(described.error());
  return options.check && failures.count() > 0 ? Exit::failed : failures.exit();
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
  command
      ->add_option("--manifest", options->manifest_file,
                   "{\"schema\": \"qkjit.manifest/1\", \"models\": [...], \"specs\": [...], "
                   "\"targets\": [...]}")
      ->check(CLI::ExistingFile);
  command->add_option("--out", options->out, "The cache directory to fill")->required();
  command
      ->add_option("-j,--jobs", options->threads,
                   "Compile on N threads (default: the cores, at most 8)")
      ->check(CLI::Range(1, 1024));
  command->add_flag("--check", options->check, "Compile nothing; fail if a kernel is missing");
  command->add_flag("--dry-run", options->dry_run, "List the kernels; needs no compiler");
  command->add_flag("--force", options->force, "Compile also what is there");
  command->callback([options, &console, &exit] { exit = precompile(console, *options); });
}

}  // namespace qkjit
