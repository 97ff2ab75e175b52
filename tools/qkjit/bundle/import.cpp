#include "tools/qkjit/bundle/import.hpp"

#include "tools/qkjit/bundle/archive.hpp"
#include "tools/qkjit/bundle/contents.hpp"

namespace qkjit {
namespace {

/// What stands before the entries.
struct Head {
  std::string manifest, signature;
  std::optional<ArchiveReader::Member> next;  ///< the first member after it
};

/// The order of members is the manifest's, so that nothing has to be remembered to find doubles and
/// strangers.
Result<void> require_name(const std::optional<ArchiveReader::Member>& member,
                          std::string_view name) {
  if (member && member->name == name) return {};
  if (!member) return fail(Code::cache_io, "the archive ends where {} should be", name);
  return fail(Code::cache_io, "the archive has another member where {} should be", name);
}

Result<Head> read_head(ArchiveReader& archive) {
  const auto first = archive.next();
  if (!first) return tl::unexpected(first.error());
  if (auto named = require_name(*first, kBundleManifest); !named) {
    return tl::unexpected(named.error());
  }
  auto manifest = archive.read(**first, kMaxManifestBytes);
  if (!manifest) return tl::unexpected(manifest.error());
  auto next = archive.next();
  if (!next) return tl::unexpected(next.error());
  if (!*next || (*next)->name != kBundleSignature) {
    return Head{std::move(*manifest), {}, std::move(*next)};
  }
  auto signature = archive.read(**next, kSignatureBytes);
  if (!signature) return tl::unexpected(signature.error());
  next = archive.next();
  if (!next) return tl::unexpected(next.error());
  return Head{std::move(*manifest), std::move(*signature), std::move(*next)};
}

/// An entry becomes code of the programs that load it: nobody's is taken without a word.
Result<void> check_trust(const Head& head, const BundleTrust& trust) {
  if (!trust.key) {
    if (trust.is_consented) return {};
    return fail(Code::cache_io,
                "what is in it becomes code of the programs that use it: give the maker's "
                "--public-key, or --unsigned if you trust the file itself{}",
                head.signature.empty() ? " (it has no signature)" : "");
  }
  if (head.signature.empty()) {
    return fail(Code::cache_io, "it is not signed, and {} is asked for: export it with --key",
                to_text(*trust.key));
  }
  if (is_signed_by(*trust.key, head.manifest, head.signature)) return {};
  return fail(Code::cache_io, "it is not as {} signed it: it was changed, or is another's",
              to_text(*trust.key));
}

Result<void> import_entries(ArchiveReader& archive, const Head& head, const Bundle& bundle,
                            Destination& to, Imported& imported) {
  std::optional<ArchiveReader::Member> member = head.next;
  for (const auto& [name, file] : bundle.files) {
    if (auto named = require_name(member, name); !named) return named;
    const auto bytes = archive.read(*member, file.size);
    if (!bytes) return tl::unexpected(bytes.error());
    const auto entry = checked_entry(*bytes, file);
    if (!entry) return fail(entry.error().code, "{}: {}", name, entry.error().message);
    const auto is_new = to.put(name, file, *entry);
    if (!is_new) return tl::unexpected(is_new.error());
    ++(*is_new ? imported.stored : imported.present);
    auto next = archive.next();
    if (!next) return tl::unexpected(next.error());
    member = std::move(*next);
  }
  if (!member) return {};
  return fail(Code::cache_io, "the archive has more members than its manifest names");
}

}  // namespace

Result<Imported> import_bundle(const std::string& file, const BundleTrust& trust, Destination& to) {
  auto archive = ArchiveReader::open(file);
  if (!archive) return tl::unexpected(archive.error());
  const auto head = read_head(*archive);
  if (!head) return tl::unexpected(head.error());
  if (auto trusted = check_trust(*head, trust); !trusted) return tl::unexpected(trusted.error());
  const auto bundle = parse_bundle(head->manifest);
  if (!bundle) return tl::unexpected(bundle.error());
  if (auto prepared = to.prepare(*bundle); !prepared) return tl::unexpected(prepared.error());
  Imported imported{trust.key.has_value(), bundle->files.size(), 0, 0, {}};
  for (const auto& [name, each] : bundle->files) ++imported.toolchains[each.toolchain];
  auto done = import_entries(*archive, *head, *bundle, to, imported);
  if (done) done = to.finish(head->manifest, head->signature);
  if (done) return imported;
  return fail(done.error().code, "{} ({} of its {} entries were imported before that)",
              done.error().message, imported.stored + imported.present, imported.entries);
}

Exit cache_import(const Console& console, const std::string& file, const BundleTrust& trust,
                  Destination& to, const std::string& own_toolchain) {
  auto imported = import_bundle(file, trust, to);
  if (!imported) {
    return report({imported.error().code,
                   fmt::format("{} is not imported: {}", file, imported.error().message)});
  }
  console.print(fmt::format("{}: {} entries, {} new, {} were there; {}", to.name(),
                            imported->entries, imported->stored, imported->present,
                            imported->is_signed ? "signature verified" : "no signature verified"));
  const std::size_t others =
      own_toolchain.empty() ? 0 : imported->entries - imported->toolchains[own_toolchain];
  if (others > 0) {
    console.note(fmt::format(
        "{} of them are by another compiler than this machine's, and serve here only where "
        "compiling "
        "is forbidden: import them --to a directory for QKJIT_CACHE_PATH, and they serve always",
        others));
  }
  console.print_json({{"schema", "qkjit.cache.import/1"},
                      {"file", file},
                      {"path", to.name()},
                      {"signed", imported->is_signed},
                      {"entries", imported->entries},
                      {"imported", imported->stored},
                      {"present", imported->present},
                      {"by_other_compilers", others}});
  return Exit::good;
}

}  // namespace qkjit
