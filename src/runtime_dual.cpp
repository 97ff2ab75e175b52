// Two streams in one launch; what Runtime does beside that of one.
#include "call_cache.hpp"
#include "runtime.hpp"
#include "spec/text.hpp"
#include "spec/variant.hpp"
#include "tuning/builtin.hpp"
#include "tuning/dual_choices.hpp"

namespace qkjit {
namespace {

/// Whether the spec has a kernel that may share a grid, which it cannot where a block, or the
/// kernel's parameters, are of another kind.
bool has_fused(const Spec& spec) {
  const auto support = supports(spec);
  return support && support->dispatch.path == Path::fused && field_against_dual(spec).empty();
}

/// Why the call is not one that a fused kernel serves.
NoKernel why_not_fused(const Operation& op) {
  const auto because = [](Reason reason, const std::string& text) {
    return NoKernel{reason, {Code::unsupported, text}};
  };
  if (op.requested == Path::generic) {
    return because(Reason::requested, std::string(sentence_of(Reason::requested)));
  }
  if (op.support.dispatch.path != Path::fused) {
    return because(op.support.dispatch.reason, op.support.text);
  }
  if (const auto field = field_against_dual(op.spec); !field.empty()) {
    return because(Reason::shape, fmt::format("{} takes a launch of its own", field));
  }
  if (!op.aligned) return because(Reason::alignment, std::string(sentence_of(Reason::alignment)));
  return {};
}

}  // namespace

Result<void> Runtime::prepare_dual(const Spec& first, const Spec& second) {
  for (const Spec& spec : {first, second}) {
    if (const auto support = supports(spec); !support) return tl::unexpected(support.error());
  }
  if (!has_fused(first) || !has_fused(second)) {
    auto done = prepare(first);
    return done ? prepare(second) : done;
  }
  const auto cuda = driver();
  if (!cuda) return tl::unexpected(cuda.error());
  const auto device = (*cuda)->current_device();
  if (!device) return tl::unexpected(device.error());
  return loader_.prepare(**cuda, Streams(first, second), *device);
}

Result<void> Runtime::prepare_dual_for(const Spec& first, const Spec& second,
                                       const std::string& target) {
  for (const Spec& spec : {first, second}) {
    if (const auto support = supports(spec); !support) return tl::unexpected(support.error());
  }
  if (!has_fused(first) || !has_fused(second)) {
    auto done = prepare_for(first, target);
    return done ? prepare_for(second, target) : done;
  }
  if (auto named = check_names_gpu(target); !named) return named;
  const Streams streams(first, second);
  for (const Choice& choice : choices_of(streams, builtin_choices(first, target))) {
    const Variants variants = variants_of(streams, choice.variant);
    for (const auto& [spec, variant] :
         {std::pair{&first, &variants.first}, {&second, &variants.second}}) {
      auto checked = check_variant(*spec, *variant, target);
      if (!checked) return checked;
    }
    const auto kernel = jit_.obtain(streams, variants, target);
    if (!kernel) return tl::unexpected(kernel.error().error);
  }
  return {};
}

Result<Dispatch> Runtime::launch_dual_on_host(const qkjit_args& first, const qkjit_args& second) {
  const auto a = check_args(first), b = check_args(second);
  if (!a) return tl::unexpected(a.error());
  if (!b) return tl::unexpected(b.error());
  if (auto checked = check_apart(*a, *b); !checked) return tl::unexpected(checked.error());
  for (const Operation* op : {&*a, &*b}) {
    if (op->requested != Path::none) {
      return fail(Code::unsupported,
                  "path={} needs device memory and a CUDA stream, not QKJIT_STREAM_HOST",
                  name_of(op->requested));
    }
    if (op->tokens == 0) continue;
    if (auto checked = check_host_memory(*op); !checked) return tl::unexpected(checked.error());
  }
  Dispatch done;
  for (const Operation* op : {&*a, &*b}) {
    if (op->tokens > 0) done = run_on_host(*op);
  }
  return done;
}

Result<Dispatch> Runtime::launch_dual(const qkjit_args& first, const qkjit_args& second,
                                      Stream stream) {
  DualCallCache& calls = DualCallCache::of_this_thread();
  const auto launch_once = [&](const Driver& open, const LoadedKernel& kernel,
                               const DualLaunch& call) -> Result<Dispatch> {
    if (auto done = open.launch(kernel, call.grid, stream, &call.params); !done) {
      return tl::unexpected(done.error());
    }
    return count({Path::fused, Reason::none});
  };
  if (const Driver* open = open_driver_.load(std::memory_order_acquire)) {
    const auto device = open->current_device();
    const auto* ready = device ? calls.find(number(), *device, {&first, &second}) : nullptr;
    if (ready) return launch_once(*open, *ready->kernel, ready->launch);
  }

  const auto a = check_args(first), b = check_args(second);
  if (!a) return tl::unexpected(a.error());
  if (!b) return tl::unexpected(b.error());
  if (a->tokens == 0) return launch(second, stream);
  if (b->tokens == 0) return launch(first, stream);
  if (auto checked = check_apart(*a, *b); !checked) return tl::unexpected(checked.error());
  const auto cuda = driver();
  if (!cuda) return tl::unexpected(cuda.error());
  const Driver& driver = **cuda;
  const auto device = driver.current_device();
  if (!device) return tl::unexpected(device.error());
  for (const Operation* op : {&*a, &*b}) {
    if (auto checked = check_memory(driver, *op); !checked) return tl::unexpected(checked.error());
  }

  const auto kernel = dual_kernel(driver, *a, *b, *device, stream);
  if (!kernel) {
    if (kernel.error().reason == Reason::none) return tl::unexpected(kernel.error().error);
    return launch_both(driver, *a, *b, *device, stream, kernel.error());
  }
  const DualLaunch call =
      dual_launch(*a, *b, variants_of(Streams(a->spec, b->spec), kernel->variant));
  if (!kernel->is_stand_in) {
    calls.keep(number(), *device, {&first, &second}, *kernel->loaded, call);
  }
  return launch_once(driver, *kernel->loaded, call);
}

/// The kernel that serves both calls at once, or why there is none.
tl::expected<FusedKernel, NoKernel> Runtime::dual_kernel(const Driver& driver,
                                                         const Operation& first,
                                                         const Operation& second, int device,
                                                         Stream stream) {
  for (const Operation* op : {&first, &second}) {
    if (NoKernel why = why_not_fused(*op); why.reason != Reason::none) return tl::unexpected(why);
  }
  return loader_.fused(driver, Streams(first.spec, second.spec), first.bytes + second.bytes,
                       first.takes_bulk && second.takes_bulk, device, stream, if_missing());
}

/// One after the other, each by its best kernel; none is launched before both can be. `why` is why
/// they do not go together.
Result<Dispatch> Runtime::launch_both(const Driver& driver, const Operation& first,
                                      const Operation& second, int device, Stream stream,
                                      const NoKernel& why) {
  const bool wants_fused = first.requested == Path::fused || second.requested == Path::fused;
  if (why.reason != Reason::requested && (options_.strict || wants_fused)) {
    return fail(Code::unsupported,
                "{} have no common kernel here ({}), and a fallback is refused: {}",
                to_text(Streams(first.spec, second.spec)), name_of(why.reason), why.error.message);
  }
  // While the common kernel is made, those of one stream serve if they are there. They are not
  // compiled for so short a time.
  const IfMissing missing =
      why.reason == Reason::compile_pending ? IfMissing::do_none : if_missing();
  const auto a = plan(driver, first, device, stream, missing);
  if (!a) return tl::unexpected(a.error());
  const auto b = plan(driver, second, device, stream, missing);
  if (!b) return tl::unexpected(b.error());
  const auto done_a = run(driver, *a, stream);
  if (!done_a) return done_a;
  const auto done_b = run(driver, *b, stream);
  if (!done_b) return done_b;
  const bool both_fused = done_a->path == Path::fused && done_b->path == Path::fused;
  return Dispatch{both_fused ? Path::fused : Path::generic, why.reason};
}

}  // namespace qkjit
