#include "tools/qkjit/run_plan.hpp"

#include <memory>

#include "spec/support.hpp"
#include "spec/text.hpp"
#include "tools/qkjit/catalog.hpp"
#include "tools/qkjit/tensor_file.hpp"

namespace qkjit {
namespace {

Result<RunPlan> plan_model(const RunOptions& options) {
  auto model = find_model(options.model);
  if (!model) return tl::unexpected(model.error());
  if (options.tokens > 0) {
    model = with_tokens(*model, options.tokens);
    if (!model) return tl::unexpected(model.error());
  }
  RunPlan result{model->title, {}};
  const auto shared = std::make_shared<const Model>(std::move(*model));
  unsigned seed = options.seed;
  for (const Call& call : shared->calls) {
    if (!options.call.empty() && call.name != options.call) continue;
    result.workloads.push_back(
        [shared, &call, seed] { return model_workload(*shared, call, seed); });
    ++seed;
  }
  if (!result.workloads.empty()) return result;
  return fail(Code::unsupported, "model {} has no call '{}'; leave --call out for all",
              options.model, options.call);
}

bool is_plain(const qkjit_frequencies& given) {
  const qkjit_frequencies plain = RunOptions{}.frequencies;
  return given.base == plain.base && given.linear_factor == plain.linear_factor &&
         given.yarn_factor == plain.yarn_factor && given.yarn_low == plain.yarn_low &&
         given.yarn_high == plain.yarn_high && given.attention_factor == plain.attention_factor;
}

Result<RunPlan> plan_spec(const RunOptions& options) {
  const auto spec = parse_spec(options.spec);
  if (!spec) return tl::unexpected(spec.error());
  if (auto known = supports(*spec); !known) return tl::unexpected(known.error());
  if (spec->angles == Angles::table && !is_plain(options.frequencies)) {
    return fail(
        Code::invalid_argument,
        "frequencies are given, but the spec has a table, whose base is {}: leave them out, "
        "or use angles=computed",
        kBase);
  }
  RunPlan result{to_text(*spec), {}};
  result.workloads.push_back([options, spec = *spec]() -> Result<Workload> {
    if (!options.tensors.empty()) return tensor_workload(options.tensors, spec, options.eps);
    const Shape shape{.tokens = options.tokens > 0 ? options.tokens : 4096,
                      .heads_q = options.heads_q,
                      .heads_k = options.heads_k,
                      .view = {},
                      .batches = options.batches};
    Workload work = spec_workload(spec, shape, options.eps, options.seed);
    if (spec.angles == Angles::computed) work.args.frequencies = options.frequencies;
    return work;
  });
  return result;
}

}  // namespace

Result<RunPlan> plan_run(const RunOptions& options) {
  return options.model.empty() ? plan_spec(options) : plan_model(options);
}

}  // namespace qkjit
