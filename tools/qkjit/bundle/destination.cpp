#include "tools/qkjit/bundle/destination.hpp"

#include "tools/qkjit/bundle/contents.hpp"
#include "util/file.hpp"
#include "util/hash.hpp"

namespace qkjit {
namespace {

/// Whether the file has these bytes already, and is one that a reader takes.
bool is_there(const std::filesystem::path& file, std::string_view bytes) {
  Unfit ignored = Unfit::no;
  const auto content = read_plain_file(file, bytes.size(), Owner::anyone, ignored);
  return content && *content && (*content)->bytes == bytes;
}

}  // namespace

Result<void> CacheDestination::prepare(const Bundle& bundle) {
  if (auto usable = cache_.check_usable(); !usable) return usable;
  std::uint64_t bytes = 0;
  for (const auto& [_, file] : bundle.files) bytes += file.size;
  // A store that passes the limit frees a tenth of it, and would begin with the bundle's first.
  if (bytes <= cache_.max_bytes() / 10 * 9) return {};
  return fail(Code::cache_io,
              "its entries have {} bytes, and {} is limited to {}: raise QKJIT_CACHE_MAX_SIZE, or "
              "import it --to a directory and name that in QKJIT_CACHE_PATH",
              bytes, name(), cache_.max_bytes());
}

Result<bool> CacheDestination::put(const std::string&, const BundleFile& file, const Entry& entry) {
  const Key key = Key::of_record(entry.key);
  const Lookup there = cache_.look(key, {entry.toolchain, false});
  if (there.found == Found::entry && hex(digest_of(encode(there.entry))) == file.digest)
    return false;
  if (auto stored = cache_.store(key, entry); !stored) return tl::unexpected(stored.error());
  return true;
}

/// Absolute, for trust is asked of every directory above it.
DirectoryDestination::DirectoryDestination(std::filesystem::path path)
    : path_(std::filesystem::absolute(path)), mode_(new_file_mode()) {}

Result<void> DirectoryDestination::prepare(const Bundle&) {
  std::error_code error;
  std::filesystem::create_directories(path_, error);
  if (!error) return {};
  return fail(Code::cache_io, "cannot create directory {}: {}", name(), error.message());
}

Result<bool> DirectoryDestination::put(const std::string& name, const BundleFile&,
                                       const Entry& entry) {
  const std::string bytes = encode(entry);
  if (is_there(path_ / name, bytes)) return false;
  if (auto published = publish_file(path_ / name, bytes, mode_); !published) {
    return tl::unexpected(published.error());
  }
  return true;
}

Result<void> DirectoryDestination::finish(std::string_view manifest, std::string_view signature) {
  const std::filesystem::path file = path_ / kBundleSignature;
  std::error_code ignored;
  const bool is_signed =
      signature.empty() ? !std::filesystem::exists(file, ignored) : is_there(file, signature);
  if (is_signed && is_there(path_ / kBundleManifest, manifest)) return {};
  return publish_manifest(path_, manifest, signature, mode_);
}

}  // namespace qkjit
