#include "cache/directory.hpp"

#include <algorithm>

#include "util/file.hpp"

namespace qkjit {
namespace {

constexpr const char* kExtension = ".qkjit";

/// Left by a process that died while it published a kernel or a tuning table.
bool is_temporary(const std::filesystem::path& path) {
  const std::string name = path.filename().string();
  return name.find(std::string(kExtension) + ".tmp.") != std::string::npos ||
         name.find(".json.tmp.") != std::string::npos;
}

}  // namespace

std::filesystem::path CacheDirectory::file_of(const std::string& digest) const {
  return path_ / (digest + kExtension);
}

bool CacheDirectory::has(const std::string& digest) const {
  std::error_code ignored;
  return std::filesystem::exists(file_of(digest), ignored);
}

Result<std::optional<Entry>> CacheDirectory::find(const Key& key) const {
  if (!has(key.digest())) return std::nullopt;
  const std::filesystem::path file = file_of(key.digest());
  auto bytes = read_file(file, kMaxEntryBytes);
  if (!bytes) return tl::unexpected(bytes.error());
  auto entry = decode(*bytes);
  if (!entry) return fail(Code::cache_io, "{}: {}", file.string(), entry.error().message);
  if (entry->key != key.record()) {
    return fail(Code::cache_io, "{}: the entry is another key's", file.string());
  }
  return std::optional(std::move(*entry));
}

Result<void> CacheDirectory::store(const Key& key, const Entry& entry) const {
  if (auto created = create_private_directory(path_); !created) return created;
  return publish_file(file_of(key.digest()), encode(entry));
}

std::vector<CacheDirectory::File> CacheDirectory::list() const {
  std::vector<File> files;
  std::error_code error;
  for (const auto& item : std::filesystem::directory_iterator(path_, error)) {
    if (item.path().extension() != kExtension) continue;
    const std::uintmax_t bytes = item.file_size(error);
    if (!error) files.push_back({item.path(), bytes});  // else no regular file, or gone meanwhile
  }
  std::ranges::sort(files, {}, &File::path);
  return files;
}

Result<std::size_t> CacheDirectory::clear() const {
  std::vector<std::filesystem::path> temporaries;
  std::error_code error;
  for (const auto& item : std::filesystem::directory_iterator(path_, error)) {
    if (is_temporary(item.path())) temporaries.push_back(item.path());
  }
  const std::vector<File> files = list();
  for (const auto& temporary : temporaries) std::filesystem::remove(temporary, error);
  for (const File& file : files) {
    if (!std::filesystem::remove(file.path, error) && error) {
      return fail(Code::cache_io, "cannot remove {}: {}", file.path.string(), error.message());
    }
  }
  return files.size();
}

}  // namespace qkjit
