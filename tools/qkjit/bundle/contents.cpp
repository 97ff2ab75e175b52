#include "tools/qkjit/bundle/contents.hpp"

#include <unistd.h>

#include <algorithm>

#include "cache/names.hpp"
#include "jit/metadata.hpp"
#include "qkjit/qkjit.h"
#include "util/file.hpp"

namespace qkjit {
namespace {

bool is_among(const std::vector<std::string>& wanted, const std::string& value) {
  return wanted.empty() || std::ranges::find(wanted, value) != wanted.end();
}

Result<BundleFile> describe_file(const CacheDirectory& directory,
                                 const std::filesystem::path& file) {
  const Lookup lookup = directory.examine(file);
  if (lookup.found != Found::entry) {
    return fail(Code::cache_io, "{}: `qkjit cache verify` puts damaged entries out of the way",
                lookup.problem);
  }
  const auto kernel = to_kernel(lookup.entry, "");
  if (!kernel) return fail(Code::cache_io, "{}: {}", file.string(), kernel.error().message);
  return describe(encode(lookup.entry), lookup.entry, kernel->target);
}

/// Gives the plain name to one entry of each key that has none.
void name_each_key(Contents& contents) {
  const std::map<std::string, BundleFile> all = contents.bundle.files;
  for (const auto& [name, file] : all) {
    const std::string plain = entry_name(file.key);
    if (contents.bundle.find(plain)) continue;
    contents.bundle.files[plain] = file;
    contents.bundle.files.erase(name);
    contents.files[plain] = contents.files[name];
    contents.files.erase(name);
  }
}

}  // namespace

Result<Contents> contents_of(const CacheDirectory& directory, const Selection& selection) {
  if (auto usable = directory.check_usable(); !usable) return tl::unexpected(usable.error());
  Contents contents{{std::string("qkjit ") + qkjit_version(), {}}, {}};
  for (const CacheDirectory::File& file : directory.list()) {
    auto described = describe_file(directory, file.path);
    if (!described) {
      if (::access(file.path.c_str(), F_OK) != 0) continue;  // evicted meanwhile
      return tl::unexpected(described.error());
    }
    if (!is_among(selection.targets, described->target) ||
        !is_among(selection.toolchains, described->toolchain)) {
      continue;
    }
    const std::string name = file.path.filename();
    contents.bundle.files[name] = std::move(*described);
    contents.files[name] = file.path;
  }
  name_each_key(contents);
  return contents;
}

Result<Entry> checked_entry(std::string_view bytes, const BundleFile& file) {
  auto entry = decode(bytes);
  if (!entry) return entry;
  const auto kernel = to_kernel(*entry, file.key);
  if (!kernel) return tl::unexpected(kernel.error());
  if (describe(bytes, *entry, kernel->target) != file) {
    return fail(Code::cache_io, "it is not the entry that {} names", kBundleManifest);
  }
  return entry;
}

Result<void> publish_manifest(const std::filesystem::path& directory, std::string_view manifest,
                              std::string_view signature, mode_t mode) {
  // In between the directory is not signed: never does a signature lie beside another's manifest.
  const std::filesystem::path signature_file = directory / kBundleSignature;
  ::unlink(signature_file.c_str());
  auto published = publish_file(directory / kBundleManifest, manifest, mode);
  if (!published || signature.empty()) return published;
  return publish_file(signature_file, signature, mode);
}

}  // namespace qkjit
