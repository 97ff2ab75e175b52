#include "jit/metadata.hpp"

#include <fmt/format.h>

#include <charconv>

#include "cache/key_record.hpp"
#include "util/file.hpp"
#include "util/hash.hpp"

namespace qkjit {
namespace {

constexpr KeyField kSchema = {"schema", "qkjit.entry/2"};

struct Text {
  std::string_view name;
  std::string Kernel::*member;
};
constexpr Text kTexts[] = {{"entry", &Kernel::entry},
                           {"target", &Kernel::target},
                           {"variant", &Kernel::variant},
                           {"compiler", &Kernel::compiler}};

struct Count {
  std::string_view name;
  int Resources::*member;
};
constexpr Count kCounts[] = {{"registers", &Resources::registers},
                             {"spill_stores", &Resources::spill_stores},
                             {"spill_loads", &Resources::spill_loads},
                             {"stack", &Resources::stack},
                             {"shared", &Resources::shared}};

constexpr std::size_t kFields = 1 + std::size(kTexts) + std::size(kCounts);

/// A number that to_entry() can have written.
bool parse_count(std::string_view text, int& count) {
  const auto [end, error] = std::from_chars(text.begin(), text.end(), count);
  return error == std::errc() && end == text.end() && count >= 0;
}

/// Sets what the fields say; Code::cache_io if they are not those of this schema, in its order.
Result<void> parse(const std::vector<KeyField>& fields, Kernel& kernel) {
  const auto strange = [] {
    return fail(Code::cache_io, "entry has metadata that is not \"{}\"", kSchema.value);
  };
  if (fields.size() != kFields || fields.front() != kSchema) return strange();
  auto field = fields.begin() + 1;
  for (const Text& text : kTexts) {
    if (field->name != text.name) return strange();
    kernel.*text.member = (field++)->value;
  }
  for (const Count& count : kCounts) {
    if (field->name != count.name || !parse_count(field->value, kernel.resources.*count.member)) {
      return strange();
    }
    ++field;
  }
  return {};
}

}  // namespace

// Only what the same inputs give again, so that entries are reproducible: no times, no paths.
Entry to_entry(const Kernel& kernel, const std::string& key_record) {
  std::string metadata;
  append_field(metadata, kSchema.name, kSchema.value);
  for (const Text& text : kTexts) append_field(metadata, text.name, kernel.*text.member);
  for (const Count& count : kCounts) {
    append_field(metadata, count.name, fmt::to_string(kernel.resources.*count.member));
  }
  return {key_record, std::move(metadata), kernel.cubin, kernel.packed_ptx, kernel.toolchain};
}

Result<Kernel> to_kernel(Entry entry, const std::string& digest) {
  if (entry.cubin.empty()) return fail(Code::cache_io, "entry has no code");
  const auto fields = fields_of(entry.metadata);
  if (!fields) {
    return fail(Code::cache_io, "entry has metadata that cannot be read: {}",
                fields.error().message);
  }
  Kernel kernel;
  if (auto parsed = parse(*fields, kernel); !parsed) return tl::unexpected(parsed.error());
  kernel.cubin = std::move(entry.cubin);
  kernel.packed_ptx = std::move(entry.packed_ptx);
  kernel.toolchain = std::move(entry.toolchain);
  kernel.resources.kernel = kernel.entry;
  kernel.key = digest;
  kernel.origin = Origin::cache;
  return kernel;
}

Result<Kernel> read_kernel(const std::filesystem::path& file) {
  auto bytes = read_file(file, kMaxEntryBytes);
  if (!bytes) return tl::unexpected(bytes.error());
  auto entry = decode(*bytes);
  if (!entry) return tl::unexpected(entry.error());
  const std::string digest = hex(digest_of(entry->key));
  return to_kernel(std::move(*entry), digest);
}

}  // namespace qkjit
