// What finding a kernel in memory costs a launch.
#pragma once

namespace qkjit::bench {

constexpr int kLookupSpecs = 20;

/// Nanoseconds of a lookup of a spec in a table of kLookupSpecs, from its key to its kernels, in
/// turn over all of them: the median over batches. Needs neither a GPU nor a compiler.
double measure_lookup();

}  // namespace qkjit::bench
