#include "tools/qkjit/bench/raw_launch.hpp"

#include "kernels/tile.cuh"
#include "op/check.hpp"

namespace qkjit::bench {

Result<RawLaunch> raw_launch_of(Runtime& runtime, const Driver& driver, const qkjit_args& args,
                                const std::string& target) {
  const auto op = check_args(args);
  if (!op) return tl::unexpected(op.error());
  const auto kernel = runtime.compile(op->spec, target);
  if (!kernel) return tl::unexpected(kernel.error());
  auto loaded = driver.load((*kernel)->cubin, (*kernel)->entry);
  if (!loaded) return tl::unexpected(loaded.error());
  const Variant variant = default_variant(op->spec);
  const auto threads = static_cast<unsigned>(variant.threads);
  const auto rows_per_block = static_cast<unsigned>(variant.threads / variant.lanes);
  const unsigned blocks = (op->params.row_count + rows_per_block - 1) / rows_per_block;
  return RawLaunch{std::move(*loaded), {blocks, threads}, op->params};
}

}  // namespace qkjit::bench
