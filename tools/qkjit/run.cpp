// qkjit run: the operation on a model's real call pattern, on a spec, or on captured tensors.
#include <algorithm>

#include "spec/text.hpp"
#include "tools/qkjit/commands.hpp"
#include "tools/qkjit/report.hpp"
#include "tools/qkjit/run_plan.hpp"
#include "tools/qkjit/session.hpp"
#include "tools/qkjit/tensor_file.hpp"
#include "tuning/builtin.hpp"

namespace qkjit {
namespace {

constexpr std::uint64_t kMostCheckedElements = 64'000'000;  // a few seconds on two cores
constexpr int kMostHeads = 4096;

/// The call as the oracle judges it: from the inputs that were, to what is in the workload now.
qkjit_args judged_args(const Workload& work, std::vector<std::byte>& inputs) {
  Workload::Bases bases{};
  for (std::size_t i = 0; i < bases.size(); ++i)
    bases[i] = const_cast<std::byte*>(work.blocks[i].data());
  bases[Workload::kQk] = inputs.data();
  qkjit_args args = work.args_at(bases);
  if (!args.q_out.data) args.q_out = work.args.q;
  if (!args.k_out.data && !args.k_cache.data) args.k_out = work.args.k;
  return args;
}

/// Those of a spec with computed angles.
void add_frequencies(CLI::App& command, CLI::Option& spec, qkjit_frequencies& to) {
  const auto add = [&](const char* name, double& value, const char* text) {
    command.add_option(name, value, text)->needs(&spec)->capture_default_str();
  };
  add("--base", to.base, "With angles=computed: of the frequencies");
  add("--linear-factor", to.linear_factor, "With angles=computed: divides the frequencies");
  add("--yarn-factor", to.yarn_factor, "With angles=computed: YaRN's factor");
  add("--yarn-low", to.yarn_low, "With angles=computed: the last pair that YaRN leaves alone");
  add("--yarn-high", to.yarn_high, "With angles=computed: the first pair that it divides in full");
  add("--attention-factor", to.attention_factor, "With angles=computed: of cosines and sines");
}

Path parse_path(const std::string& name) {
  return name == "fused" ? Path::fused : name == "generic" ? Path::generic : Path::none;
}

Result<CallReport> run_one(Runtime& runtime, const Place& place, const RunOptions& options,
                           const Spec& spec, Workload& work) {
  std::vector<std::byte> inputs;
  if (options.check) inputs = work.blocks[Workload::kQk];
  const auto executed =
      place.gpu ? execute_on_device(runtime, *place.gpu, work) : execute_on_host(runtime, work);
  if (!executed) return tl::unexpected(executed.error());
  CallReport result{work.name,
                    to_text(spec),
                    work.repeat,
                    work.tokens(),
                    Workload::heads(work.args.q),
                    Workload::heads(work.args.k),
                    work.bytes_moved(),
                    *executed,
                    {}};
  if (options.check) {
    const qkjit_args args = judged_args(work, inputs);
    auto check = oracle::check_call(args, {oracle::token_step_for(args, kMostCheckedElements), 0});
    if (!check) return tl::unexpected(check.error());
    result.check = std::move(*check);
  }
  return result;
}

/// The variant that serves a call here, or without a GPU would serve it.
Variant variant_of(Runtime& runtime, const Place& place, const Operation& op) {
  if (place.gpu) {
    if (const auto chosen = runtime.chosen_kernel(op)) return chosen->variant;
  }
  return choose(builtin_choices(op.spec, place.target), op.bytes, op.takes_bulk).variant;
}

/// Adds the fused kernel of a call, compiled or found, if it is not among them and the call is one
/// for it. One that cannot be had is only noted: the call itself says which path served it.
void add_kernel(Runtime& runtime, const Console& console, const Place& place, const Operation& op,
                RunReport& report) {
  const Spec& spec = op.spec;
  if (op.requested == Path::generic || !op.aligned) return;
  if (op.support.dispatch.path != Path::fused) {
    return console.note(fmt::format("no fused kernel for {}: {}", to_text(spec), op.support.text));
  }
  const auto kernel = runtime.compile(spec, variant_of(runtime, place, op), report.target);
  if (!kernel) {
    console.note(fmt::format("no fused kernel for {}: {}", to_text(spec), kernel.error().message));
  } else if (std::ranges::find(report.kernels, (*kernel)->key, &Kernel::key) ==
             report.kernels.end()) {
    report.kernels.push_back(**kernel);
  }
}

Exit run(const Console& console, const RunOptions& options) {
  const auto plan = plan_run(options);
  if (!plan) return report(plan.error());
  auto runtime = open_runtime(console);
  if (!runtime) return report(runtime.error());
  const auto place = find_place(options.device);
  if (!place) return report(place.error());

  RunReport results{plan->title, place->description, place->target, {}, {}};
  for (const auto& make : plan->workloads) {
    auto work = make();
    if (!work) return report(work.error());
    work->args.path = static_cast<qkjit_path>(parse_path(options.path));
    const auto op = check_args(work->args);
    if (!op) return report(op.error());
    add_kernel(**runtime, console, *place, *op, results);
    auto call = run_one(**runtime, *place, options, op->spec, *work);
    if (!call) return report(call.error());
    results.calls.push_back(std::move(*call));
    if (options.out.empty()) continue;
    if (auto written = write_tensors(options.out, *work); !written) return report(written.error());
  }
  print(console, results, counters_json(**runtime));
  return std::ranges::all_of(results.calls, &CallReport::passed) ? Exit::good : Exit::failed;
}

}  // namespace

void add_run(CLI::App& app, const Console& console, Exit& exit) {
  auto options = std::make_shared<RunOptions>();
  CLI::App* command = app.add_subcommand("run", "Run a model's calls, a spec, or captured tensors");
  auto* what = command->add_option_group("what", "One of");
  what->add_option("--model", options->model, "A model by name, or a model file.json");
  auto* spec =
      what->add_option("--spec", options->spec, "head_dim=128,rope_dim=128,layout=neox,dtype=bf16");
  what->require_option(1);
  command->add_option("--call", options->call, "Only this call of the model");
  command
      ->add_option("--tensors", options->tensors,
                   "A .safetensors file with q, k, weights and table")
      ->check(CLI::ExistingFile)
      ->needs(spec);
  command->add_option("--out", options->out, "Write the results to this .safetensors file")
      ->needs(spec);
  command->add_option("--tokens", options->tokens, "Scale to about this many tokens")
      ->check(CLI::Range(std::int64_t{1}, kMaxTokens));
  command->add_option("--heads-q", options->heads_q, "With --spec")
      ->check(CLI::Range(1, kMostHeads))
      ->capture_default_str();
  command->add_option("--heads-k", options->heads_k, "With --spec")
      ->check(CLI::Range(1, kMostHeads))
      ->capture_default_str();
  command->add_option("--batch", options->batches, "With --spec: sequences of --tokens each")
      ->check(CLI::Range(std::int64_t{1}, kMaxTokens))
      ->needs(spec);
  add_frequencies(*command, *spec, options->frequencies);
  command->add_option("--eps", options->eps, "With --spec")->capture_default_str();
  command->add_option("--seed", options->seed, "Of generated data")->capture_default_str();
  command->add_option("--device", options->device, "auto, gpu or cpu")
      ->check(CLI::IsMember({"auto", "gpu", "cpu"}))
      ->capture_default_str();
  command->add_option("--path", options->path, "auto, fused or generic; the last two need a GPU")
      ->check(CLI::IsMember({"auto", "fused", "generic"}))
      ->capture_default_str();
  command->add_flag("--check", options->check,
                    "Compare the results with the double-precision oracle");
  command->callback([options, &console, &exit] { exit = run(console, *options); });
}

}  // namespace qkjit
