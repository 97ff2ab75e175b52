// qkjit run: the operation on a model's real call pattern, on a spec, or on captured tensors.
#include "spec/text.hpp"
#include "tools/qkjit/commands.hpp"
#include "tools/qkjit/report.hpp"
#include "tools/qkjit/run_plan.hpp"
#include "tools/qkjit/session.hpp"
#include "tools/qkjit/tensor_file.hpp"

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
  args.q_out = work.args.q;
  args.k_out = work.args.k;
  return args;
}

Result<CallReport> run_one(Runtime& runtime, const Place& place, const RunOptions& options,
                           Workload& work) {
  std::vector<std::byte> inputs;
  if (options.check) inputs = work.blocks[Workload::kQk];
  const Path path = options.path == "fused"     ? Path::fused
                    : options.path == "generic" ? Path::generic
                                                : Path::none;
  work.args.path = static_cast<qkjit_path>(path);
  const auto executed = place.gpu ? execute_on_device(runtime, *place.gpu, work, path)
                                  : execute_on_host(runtime, work);
  if (!executed) return tl::unexpected(executed.error());
  const auto spec = to_spec(work.args.spec);
  if (!spec) return tl::unexpected(spec.error());
  CallReport result{work.name,
                    to_text(*spec),
                    work.repeat,
                    work.tokens(),
                    work.args.q.shape[1],
                    work.args.k.shape[1],
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

/// The fused kernels of the specs, compiled or found. A kernel that cannot be had is only noted:
/// the call itself says which path served it.
std::vector<Kernel> collect_kernels(Runtime& runtime, const Console& console, const RunPlan& plan,
                                    const std::string& target) {
  std::vector<Kernel> kernels;
  for (const Spec& spec : plan.specs) {
    const auto kernel = runtime.compile(spec, target);
    if (kernel) {
      kernels.push_back(**kernel);
    } else {
      console.note(
          fmt::format("no fused kernel for {}: {}", to_text(spec), kernel.error().message));
    }
  }
  return kernels;
}

void print_results(const Console& console, const RunPlan& plan, const Place& place,
                   const std::vector<Kernel>& kernels, const std::vector<CallReport>& calls,
                   const Runtime& runtime) {
  console.print(fmt::format("{}\non {}\n", console.strong(plan.title), place.description));
  if (!kernels.empty()) console.print(kernels_table(kernels) + "\n");
  if (!calls.empty()) console.print(calls_table(calls));
  for (const std::string& refusal : plan.refusals) console.print(console.bad("refused ") + refusal);
  nlohmann::json document = counters_json(runtime);
  document.update({{"schema", "qkjit.run/1"},
                   {"title", plan.title},
                   {"device", place.description},
                   {"target", place.target},
                   {"refused", plan.refusals}});
  document["kernels"] = document["calls"] = nlohmann::json::array();
  for (const Kernel& kernel : kernels) document["kernels"].push_back(to_json(kernel));
  for (const CallReport& call : calls) document["calls"].push_back(to_json(call));
  console.print_json(document);
}

Exit run(const Console& console, const RunOptions& options) {
  const auto plan = plan_run(options);
  if (!plan) return report(plan.error());
  auto runtime = open_runtime(console);
  if (!runtime) return report(runtime.error());
  const auto place = find_place(options.device);
  if (!place) return report(place.error());

  const std::vector<Kernel> kernels = collect_kernels(**runtime, console, *plan, place->target);
  std::vector<CallReport> calls;
  bool passed = true;
  for (const auto& make : plan->workloads) {
    auto work = make();
    if (!work) return report(work.error());
    auto call = run_one(**runtime, *place, options, *work);
    if (!call) return report(call.error());
    passed = passed && (!call->check || call->check->passed);
    calls.push_back(std::move(*call));
    if (options.out.empty()) continue;
    if (auto written = write_tensors(options.out, *work); !written) return report(written.error());
  }
  print_results(console, *plan, *place, kernels, calls, **runtime);
  if (options.check && !calls.empty()) {
    console.print(passed ? console.good("\nevery call agrees with the oracle")
                         : console.bad("\na call does not agree with the oracle"));
  }
  if (!passed) return Exit::failed;
  return plan->refusals.empty() ? Exit::good : Exit::unsupported;
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
  command
      ->add_option("--out", options->out, "Write the resulting q and k to this .safetensors file")
      ->needs(spec);
  command->add_option("--tokens", options->tokens, "Scale to about this many tokens")
      ->check(CLI::Range(std::int64_t{1}, kMaxTokens));
  command->add_option("--heads-q", options->heads_q, "With --spec")
      ->check(CLI::Range(1, kMostHeads))
      ->capture_default_str();
  command->add_option("--heads-k", options->heads_k, "With --spec")
      ->check(CLI::Range(1, kMostHeads))
      ->capture_default_str();
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
