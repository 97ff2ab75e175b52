#include "cache/read_only_directory.hpp"

#include <unistd.h>

#include "cache/names.hpp"
#include "util/file.hpp"
#include "util/hash.hpp"

namespace qkjit {
namespace {

/// Nothing if there is no such file.
Result<std::optional<std::string>> read_part(const std::filesystem::path& file, std::size_t limit,
                                             Owner owner) {
  Unfit ignored = Unfit::no;
  auto content = read_plain_file(file, limit, owner, ignored);
  if (!content) return tl::unexpected(content.error());
  if (!*content) return std::nullopt;
  return std::move((*content)->bytes);
}

/// The manifest's bytes, which the key's owner signed.
Result<std::optional<std::string>> read_signed_manifest(const std::filesystem::path& directory,
                                                        const PublicKey& key) {
  auto manifest = read_part(directory / kBundleManifest, kMaxManifestBytes, Owner::anyone);
  if (!manifest) return manifest;
  const auto signature = read_part(directory / kBundleSignature, kSignatureBytes, Owner::anyone);
  if (!signature) return tl::unexpected(signature.error());
  if (!*manifest || !*signature) {
    return fail(Code::cache_io,
                "there is no {}, and only what {} signed is to be used: `qkjit cache export --key` "
                "signs, and `qkjit cache import --to` makes such a directory",
                *manifest ? kBundleSignature : kBundleManifest, to_text(key));
  }
  if (is_signed_by(key, **manifest, **signature)) return manifest;
  return fail(Code::cache_io, "its {} is not as {} signed it: it was changed, or is another's",
              kBundleManifest, to_text(key));
}

}  // namespace

Result<Bundle> ReadOnlyDirectory::read_bundle() const {
  const auto text = key_ ? read_signed_manifest(path(), *key_)
                         : read_part(path() / kBundleManifest, kMaxManifestBytes, Owner::trusted);
  if (!text) return tl::unexpected(text.error());
  return *text ? parse_bundle(**text) : Bundle{};
}

const Result<Bundle>& ReadOnlyDirectory::bundle() const {
  std::call_once(state_->once, [this] {
    state_->bundle = read_bundle();
    if (state_->bundle) return;
    state_->bundle = fail(Code::cache_io, "the bundle {} is not used: {}", name(),
                          state_->bundle.error().message);
  });
  return state_->bundle;
}

Result<void> ReadOnlyDirectory::check_usable() const {
  if (!key_) return directory_.check_usable();
  return bundle() ? Result<void>{} : tl::unexpected(bundle().error());
}

bool ReadOnlyDirectory::has(const std::string& digest) const {
  if (!key_) return directory_.has(digest);
  return bundle() && bundle()->find(entry_name(digest)) &&
         ::access(directory_.file_of(digest).c_str(), F_OK) == 0;
}

Lookup ReadOnlyDirectory::look(const Key& key, const Wanted& wanted) const {
  return key_ ? look_signed(key, wanted) : look_trusted(key, wanted);
}

Lookup ReadOnlyDirectory::look_trusted(const Key& key, const Wanted& wanted) const {
  Lookup lookup = directory_.look(key, wanted);
  if (lookup.found != Found::another_toolchain) return lookup;
  if (!bundle()) {
    if (state_->is_told.test_and_set()) return lookup;
    return {.found = Found::unreadable, .place = name(), .problem = bundle().error().message};
  }
  const std::string name = std::filesystem::path(lookup.place).filename();
  const BundleFile* const file = bundle()->find(name);
  if (file && file->toolchain == lookup.entry.toolchain) {
    lookup.found = Found::entry;
    lookup.problem.clear();
  }
  return lookup;
}

Lookup ReadOnlyDirectory::look_signed(const Key& key, const Wanted& wanted) const {
  if (!bundle()) {
    if (state_->is_told.test_and_set()) return {};
    return {.found = Found::unreadable, .place = name(), .problem = bundle().error().message};
  }
  const std::string digest = key.digest();
  std::string name = entry_name(digest, wanted.toolchain);
  const BundleFile* file = bundle()->find(name);
  if (!file) file = bundle()->find(name = entry_name(digest));
  if (!file) return {};
  const std::filesystem::path place = path() / name;
  Unfit unfit = Unfit::no;
  auto content = read_plain_file(place, file->size, Owner::anyone, unfit);
  if (!content) {
    return {.found = unfit == Unfit::no ? Found::unreadable : Found::damaged,
            .place = place,
            .problem = content.error().message};
  }
  if (!*content) return {};
  const std::string its_digest = hex(digest_of((*content)->bytes));
  Lookup lookup = judge((*content)->bytes, place, key, {});
  if (lookup.found == Found::entry && its_digest != file->digest) {
    return {.found = Found::damaged,
            .place = place,
            .problem = place.string() + ": it is not the entry that the signed " +
                       std::string(kBundleManifest) + " names"};
  }
  return lookup;
}

Result<void> ReadOnlyDirectory::store(const Key&, const Entry&) const {
  return fail(Code::cache_io, "{} is only read", name());
}

}  // namespace qkjit
