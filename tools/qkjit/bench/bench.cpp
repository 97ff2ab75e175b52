// qkjit bench: the fused kernel against a copy of the same bytes, and what it replaces.
#include <unistd.h>

#include <algorithm>

#include "tools/qkjit/bench/bench_report.hpp"
#include "tools/qkjit/bench/contest.hpp"
#include "tools/qkjit/bench/host.hpp"
#include "tools/qkjit/bench/prepare.hpp"
#include "tools/qkjit/bench/selection.hpp"
#include "tools/qkjit/commands.hpp"
#include "tools/qkjit/progress.hpp"
#include "tools/qkjit/session.hpp"
#include "util/file.hpp"

namespace qkjit {
namespace bench {
namespace {

constexpr int kMostHeads = 4096;

struct Options {
  Selection selection;
  int replays = 15;
  bool list = false, resident = false, host = false;
  std::string svg, target;
};

/// The cases whose q and k leave half of the L2 cache to the rest.
Result<std::vector<Case>> resident_cases(std::vector<Case> cases, std::size_t l2_bytes) {
  std::erase_if(cases, [&](const Case& c) { return qk_bytes(c) > l2_bytes / 2; });
  if (!cases.empty()) return cases;
  return fail(Code::unsupported,
              "q and k of no case fit in half of the L2 cache ({} bytes): choose smaller ones, or "
              "leave --resident out",
              l2_bytes);
}

Result<Report> measure(const Console& console, const Options& options, std::vector<Case> cases) {
  const auto place = find_place("gpu");
  if (!place) return tl::unexpected(place.error());
  const Workspace& gpu = *place->gpu;
  const auto l2_bytes = gpu.driver()->l2_bytes(0);
  if (!l2_bytes) return tl::unexpected(l2_bytes.error());
  if (options.resident) {
    auto fitting = resident_cases(std::move(cases), *l2_bytes);
    if (!fitting) return tl::unexpected(fitting.error());
    cases = std::move(*fitting);
  }
  const auto runtime = open_runtime(console);
  if (!runtime) return tl::unexpected(runtime.error());
  prepare(**runtime, console, cases, place->target);
  auto contest =
      Contest::open(**runtime, gpu, method_for(*l2_bytes, options.replays, options.resident), cases,
                    place->target);
  if (!contest) return tl::unexpected(contest.error());
  const auto device = gpu.driver()->device_name(0);
  if (!device) return tl::unexpected(device.error());

  Report report{*device, gpu.driver()->version(), options.resident, {}, {}};
  Progress progress(console, cases.size());
  for (const Case& wanted : cases) {
    auto result = contest->run(wanted);
    if (!result) {
      return fail(result.error().code, "{}: {}", wanted.full_name(), result.error().message);
    }
    report.results.push_back(std::move(*result));
    progress.step(wanted.full_name());
  }
  report.counters = counters_json(**runtime);
  return report;
}

Exit run(const Console& console, const Options& options) {
  if (options.host) return run_host(console, options.selection, options.target);
  auto cases = select_cases(options.selection);
  if (!cases) return qkjit::report(cases.error());
  if (options.list) {
    print_list(console, *cases);
    return Exit::good;
  }
  const auto report = measure(console, options, std::move(*cases));
  if (!report) return qkjit::report(report.error());
  print(console, *report);
  if (options.svg.empty()) return Exit::good;
  const auto written = publish_file(options.svg, chart_of(*report), new_file_mode());
  return written ? Exit::good : qkjit::report(written.error());
}

}  // namespace
}  // namespace bench

void add_bench(CLI::App& app, const Console& console, Exit& exit) {
  auto options = std::make_shared<bench::Options>();
  bench::Selection& selection = options->selection;
  CLI::App* command = app.add_subcommand(
      "bench", "GPU time against a copy in place of the same bytes, or the host's time");
  auto* group = command->add_option("--group", selection.groups, "models, measured or grid; repeat")
                    ->check(CLI::IsMember(std::vector<std::string>(std::begin(bench::kGroups),
                                                                   std::end(bench::kGroups))));
  auto* name = command->add_option("--case", selection.name, "Only cases with this in their name");
  auto* model = command->add_option("--model", selection.model, "Only this model's calls");
  auto* spec = command->add_option("--spec", selection.spec,
                                   "Only head_dim=128,rope_dim=128,layout=neox,dtype=bf16");
  spec->excludes(group)->excludes(model)->excludes(name);
  model->excludes(group);
  command->add_option("--tokens", selection.tokens, "Of --spec; 4096, or 19 with --host")
      ->check(CLI::Range(std::int64_t{1}, kMaxTokens))
      ->needs(spec);
  command->add_option("--heads-q", selection.heads_q, "Of --spec")
      ->check(CLI::Range(1, bench::kMostHeads))
      ->capture_default_str()
      ->needs(spec);
  command->add_option("--heads-k", selection.heads_k, "Of --spec")
      ->check(CLI::Range(1, bench::kMostHeads))
      ->capture_default_str()
      ->needs(spec);
  auto* replays =
      command->add_option("--replays", options->replays, "Of each graph; medians are shown")
          ->check(CLI::Range(1, 10000))
          ->capture_default_str();
  auto* list = command->add_flag("--list", options->list, "List the cases; needs no GPU");
  auto* resident =
      command->add_flag("--resident", options->resident, "Keep q and k in the L2 cache");
  auto* svg = command->add_option("--svg", options->svg, "Write a bar chart to this file");
  auto* host = command->add_flag("--host", options->host,
                                 "The host's time: launches, the first call, start-up");
  for (auto* other : {group, name, model, replays, list, resident, svg}) host->excludes(other);
  for (auto* other : {replays, resident, svg}) list->excludes(other);
  command
      ->add_option("--target", options->target,
                   "With --host: compile for this target; without a GPU only compiles are timed")
      ->needs(host);
  command->callback([options, &console, &exit] { exit = bench::run(console, *options); });
}

}  // namespace qkjit
