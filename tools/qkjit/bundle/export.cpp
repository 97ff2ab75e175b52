#include "tools/qkjit/bundle/export.hpp"

#include <fmt/ranges.h>

#include <set>

#include "tools/qkjit/bundle/archive.hpp"
#include "util/file.hpp"

namespace qkjit {
namespace {

/// The entry's bytes, unless they are others than when they were described.
Result<std::string> read_entry(const std::filesystem::path& path, const BundleFile& described) {
  auto bytes = read_file(path, kMaxEntryBytes);
  if (!bytes) return bytes;
  if (auto entry = checked_entry(*bytes, described); !entry) {
    return fail(Code::cache_io, "{} was changed while it was exported ({}): export it again",
                path.string(), entry.error().message);
  }
  return bytes;
}

Result<std::optional<SecretKey>> read_key(const std::string& file) {
  if (file.empty()) return std::nullopt;
  auto key = SecretKey::read(file);
  if (!key) return tl::unexpected(key.error());
  return *key;
}

/// What there is, where nothing was selected.
tl::unexpected<Error> nothing_selected(const CacheDirectory& from) {
  const auto all = contents_of(from);
  if (!all) return tl::unexpected(all.error());
  std::set<std::string> targets, toolchains;
  for (const auto& [name, file] : all->bundle.files) {
    targets.insert(file.target);
    toolchains.insert(file.toolchain);
  }
  if (targets.empty()) {
    return fail(Code::unsupported, "{} has no entries: `qkjit precompile --out` makes some",
                from.name());
  }
  return fail(Code::unsupported,
              "{} has no such entries: it has entries for the targets {}, by the toolchains {}",
              from.name(), fmt::join(targets, ", "), fmt::join(toolchains, ", "));
}

}  // namespace

Result<std::string> pack(const Contents& contents, const std::optional<SecretKey>& key) {
  const std::string manifest = to_text(contents.bundle);
  if (manifest.size() > kMaxManifestBytes) {
    return fail(Code::invalid_argument,
                "{} entries are too many for one bundle: select some with --target",
                contents.files.size());
  }
  ArchiveWriter archive;
  archive.add(std::string(kBundleManifest), manifest);
  if (key) archive.add(std::string(kBundleSignature), key->sign(manifest));
  for (const auto& [name, file] : contents.bundle.files) {
    const auto bytes = read_entry(contents.files.at(name), file);
    if (!bytes) return bytes;
    archive.add(name, *bytes);
  }
  return archive.finish();
}

Exit cache_export(const Console& console, const CacheDirectory& from, const Selection& selection,
                  const std::string& key_file, const std::string& file) {
  const auto key = read_key(key_file);
  if (!key) return report(key.error());
  const auto contents = contents_of(from, selection);
  if (!contents) return report(contents.error());
  if (contents->files.empty()) return report(nothing_selected(from).value());
  const auto packed = pack(*contents, *key);
  if (!packed) return report(packed.error());
  if (auto published = publish_file(file, *packed, new_file_mode()); !published) {
    return report(published.error());
  }
  console.print(fmt::format("{}: {} entries of {}, {} bytes, {}", file, contents->files.size(),
                            from.name(), packed->size(), *key ? "signed" : "not signed"));
  nlohmann::json document = {{"schema", "qkjit.cache.export/1"},
                             {"file", file},
                             {"from", from.name()},
                             {"entries", contents->files.size()},
                             {"bytes", packed->size()},
                             {"public_key", nullptr}};
  if (*key) document["public_key"] = to_text((*key)->public_key());
  console.print_json(document);
  return Exit::good;
}

Exit cache_keygen(const Console& console, const std::string& file) {
  const SecretKey key = SecretKey::generate();
  if (auto created = create_key_files(key, file); !created) return report(created.error());
  const std::string public_key = to_text(key.public_key());
  console.print(public_key);
  console.note(fmt::format(
      "{} is the secret, for `qkjit cache export --key`; {}.pub is for everyone", file, file));
  console.print_json({{"schema", "qkjit.cache.keygen/1"},
                      {"secret_file", file},
                      {"public_file", file + ".pub"},
                      {"public_key", public_key}});
  return Exit::good;
}

}  // namespace qkjit
