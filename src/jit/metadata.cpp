#include "jit/metadata.hpp"

#include <limits>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "util/file.hpp"
#include "util/hash.hpp"

namespace qkjit {
namespace {

/// A number that to_entry() can have written: of others a conversion would make anything.
int count_in(const nlohmann::json& object, const char* name) {
  const auto& count = object.at(name).get_ref<const nlohmann::json::number_unsigned_t&>();
  if (count > static_cast<unsigned>(std::numeric_limits<int>::max())) {
    throw std::out_of_range(fmt::format("{} is {}", name, count));
  }
  return static_cast<int>(count);
}

}  // namespace

// Only what the same inputs give again, so that entries are reproducible: no times, no paths.
Entry to_entry(const Kernel& kernel, const std::string& key_record) {
  const Resources& r = kernel.resources;
  const nlohmann::json metadata = {
      {"schema", "qkjit.entry/1"},
      {"entry", kernel.entry},
      {"target", kernel.target},
      {"variant", kernel.variant},
      {"compiler", kernel.compiler},
      {"resources",
       {{"registers", r.registers},
        {"spill_stores", r.spill_stores},
        {"spill_loads", r.spill_loads},
        {"stack", r.stack},
        {"shared", r.shared}}},
  };
  return {key_record, metadata.dump(), kernel.cubin, kernel.packed_ptx, kernel.toolchain};
}

Result<Kernel> to_kernel(Entry entry, const std::string& digest) {
  if (entry.cubin.empty()) return fail(Code::cache_io, "entry has no code");
  try {
    const auto metadata = nlohmann::json::parse(entry.metadata);
    const auto& r = metadata.at("resources");
    Kernel kernel;
    kernel.entry = metadata.at("entry");
    kernel.target = metadata.at("target");
    kernel.variant = metadata.at("variant");
    kernel.compiler = metadata.at("compiler");
    kernel.cubin = std::move(entry.cubin);
    kernel.packed_ptx = std::move(entry.packed_ptx);
    kernel.toolchain = entry.toolchain;
    kernel.resources = {kernel.entry,
                        count_in(r, "registers"),
                        count_in(r, "spill_stores"),
                        count_in(r, "spill_loads"),
                        count_in(r, "stack"),
                        count_in(r, "shared")};
    kernel.key = digest;
    kernel.origin = Origin::cache;
    return kernel;
  } catch (const nlohmann::json::exception& error) {
    return fail(Code::cache_io, "entry has metadata that cannot be read: {}", error.what());
  } catch (const std::out_of_range& error) {
    return fail(Code::cache_io, "entry has metadata that cannot be true: {}", error.what());
  }
}

Result<Kernel> read_kernel(const std::filesystem::path& file) {
  auto bytes = read_file(file, kMaxEntryBytes);
  if (!bytes) return tl::unexpected(bytes.error());
  auto entry = decode(std::move(*bytes));
  if (!entry) return tl::unexpected(entry.error());
  const std::string digest = hex(digest_of(entry->key));
  return to_kernel(std::move(*entry), digest);
}

}  // namespace qkjit
