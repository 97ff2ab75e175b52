// qkjit bench --host: what the library costs the host.
#pragma once

#include "tools/qkjit/bench/selection.hpp"
#include "tools/qkjit/console.hpp"

namespace qkjit::bench {

/// For the selection's spec, or the usual one. `target` empty: the GPU's own. Without a GPU only
/// the first call is measured, and that needs a target.
Exit run_host(const Console& console, const Selection& selection, const std::string& target);

}  // namespace qkjit::bench
