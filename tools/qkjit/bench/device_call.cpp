#include "tools/qkjit/bench/device_call.hpp"

#include "spec/text.hpp"
#include "tools/qkjit/bench/outputs.hpp"

namespace qkjit::bench {

Result<qkjit_spec> parse_c_spec(const std::string& text) {
  qkjit_spec spec = QKJIT_SPEC_INIT;
  const qkjit_status status = qkjit_spec_parse(text.c_str(), &spec);
  if (status != QKJIT_OK) return fail(static_cast<Code>(status), "{}", qkjit_last_error());
  return spec;
}

Result<void> fill_pool(const DeviceBuffer& pool, const Placement& placement,
                       std::span<const std::byte> pattern, const PositionData& positions,
                       std::span<const std::byte> slots) {
  if (auto done = pool.fill(pattern, placement.end); !done) return done;
  for (const auto& [bytes, at] :
       {std::pair<std::span<const std::byte>, std::size_t>{positions.array, placement.positions},
        {slots, placement.slots}}) {
    if (bytes.empty()) continue;
    if (auto done = pool.upload(bytes.data(), bytes.size(), at); !done) return done;
  }
  return {};
}

Result<DeviceCall> make_device_call(const Workspace& gpu, const Case& wanted) {
  const auto placement = place(wanted, 0, 1);
  if (!placement) return tl::unexpected(placement.error());
  const auto spec = parse_c_spec(to_text(wanted.spec));
  if (!spec) return tl::unexpected(spec.error());
  auto memory = DeviceBuffer::allocate(gpu.driver(), placement->end);
  if (!memory) return tl::unexpected(memory.error());
  const auto pattern = random_pattern(placement->set_bytes);
  if (auto done = fill_pool(*memory, *placement, pattern, positions_of(wanted), slots_of(wanted));
      !done) {
    return tl::unexpected(done.error());
  }
  auto* base = static_cast<std::byte*>(memory->data());
  return DeviceCall{std::move(*memory), args_of(wanted, *placement, *spec, base, 0)};
}

}  // namespace qkjit::bench
