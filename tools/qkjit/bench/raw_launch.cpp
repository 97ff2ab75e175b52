#include "tools/qkjit/bench/raw_launch.hpp"

#include "op/check.hpp"

namespace qkjit::bench {

Result<RawLaunch> raw_launch_of(Runtime& runtime, const qkjit_args& args) {
  const auto op = check_args(args);
  if (!op) return tl::unexpected(op.error());
  const auto kernel = runtime.chosen_kernel(*op);
  if (!kernel) return tl::unexpected(kernel.error());
  return RawLaunch{*kernel->loaded, fused_launch(*op, kernel->variant)};
}

}  // namespace qkjit::bench
