#include "tests/fuzz/entry_checks.hpp"

#include <fmt/format.h>

#include <array>
#include <cstdio>
#include <cstdlib>

#include "cache/bundle.hpp"
#include "cache/entry.hpp"
#include "cache/key.hpp"
#include "cache/key_record.hpp"
#include "jit/metadata.hpp"
#include "util/packed.hpp"

namespace qkjit::test {
namespace {

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "broken: %s\n", what);
  std::abort();
}

/// A record is what its fields make.
void check_record(std::string_view record) {
  const auto fields = fields_of(record);
  if (!fields) return;
  require(Key::of(*fields).record() == record, "a key record is another one than its fields make");
  require(differences(*fields, {}).size() == fields->size(), "a field is missing");
}

/// What an entry's text says is believed or refused, and nothing else.
void check_metadata(const Entry& entry) {
  const auto kernel = to_kernel(entry, "digest");
  if (!kernel) return;
  require(kernel->cubin == entry.cubin && kernel->packed_ptx == entry.packed_ptx,
          "the code is another");
  const auto again = to_kernel(to_entry(*kernel, entry.key), "digest");
  require(again.has_value(), "metadata that was read cannot be read again");
  require(again->resources.registers == kernel->resources.registers &&
              again->resources.shared == kernel->resources.shared,
          "resources that were read are others when written again");
}

/// As on disk: bytes are an entry only if they are what the entry is written as.
void check_decoding(std::string_view bytes) {
  const auto entry = decode(bytes);
  if (!entry) return;
  require(encode(*entry) == bytes, "an entry has two forms");
  check_record(entry->key);
  check_metadata(*entry);
}

/// No input of a fuzzer has a right checksum by chance: its bytes are taken as the parts of an
/// entry.
Entry entry_from(std::string_view bytes) {
  std::array<std::string, 5> parts;
  for (std::string& part : parts) {
    const std::size_t end = std::min(bytes.find('\x1f'), bytes.size());
    part = bytes.substr(0, end);
    bytes.remove_prefix(std::min(end + 1, bytes.size()));
  }
  return {parts[0], parts[1], parts[2], parts[3], parts[4]};
}

/// A bundle's manifest comes from anyone who made the file.
void check_manifest(std::string_view bytes) {
  const auto bundle = parse_bundle(bytes);
  if (!bundle) return;
  const auto again = parse_bundle(to_text(*bundle));
  require(again && again->made_by == bundle->made_by && again->files == bundle->files,
          "a manifest that was read is another when written again");
}

void check_packed(std::string_view bytes) {
  constexpr std::size_t kLimit = 1 << 20;
  const auto text = unpack(bytes, kLimit);
  if (text)
    require(text->size() <= kLimit && unpack(pack(*text), kLimit) == *text, "a text is lost");
}

}  // namespace

void check_entry_bytes(std::string_view bytes) {
  check_manifest(bytes);
  check_packed(bytes);
  check_decoding(bytes);
  check_record(bytes);
  const Entry entry = entry_from(bytes);
  const std::string file = encode(entry);
  require(decode(file).has_value() == is_toolchain(entry.toolchain),
          "what was written cannot be read");
  check_decoding(file);
  check_record(entry.key);
  check_metadata(entry);
}

}  // namespace qkjit::test
