// A case's tensors in device memory.
#pragma once

#include <span>

#include "cuda/workspace.hpp"
#include "tools/qkjit/bench/device_data.hpp"
#include "tools/qkjit/bench/placement.hpp"

namespace qkjit::bench {

/// The C interface's spec from a spec's text.
Result<qkjit_spec> parse_c_spec(const std::string& text);

/// Random data everywhere, and the positions and the slots at their place.
Result<void> fill_pool(const DeviceBuffer& pool, const Placement& placement,
                       std::span<const std::byte> pattern, const PositionData& positions,
                       std::span<const std::byte> slots);

/// One call on memory of its own.
struct DeviceCall {
  DeviceBuffer memory;
  qkjit_args args;
};

Result<DeviceCall> make_device_call(const Workspace& gpu, const Case& wanted);

}  // namespace qkjit::bench
