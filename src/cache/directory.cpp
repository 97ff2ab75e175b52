#include "cache/directory.hpp"

#include <unistd.h>

#include <algorithm>

#include "cache/bundle.hpp"
#include "cache/names.hpp"
#include "util/file.hpp"
#include "util/hash.hpp"
#include "util/trust.hpp"

namespace qkjit {
namespace {

using namespace std::chrono_literals;

/// Use is noted no finer than this.
constexpr std::int64_t kStampGrain = 60 * 60;
/// Where the cleaner's lock is; those of keys are below.
constexpr std::uint64_t kCleanerByte = 1ull << 62;
/// No cleaning takes so long.
constexpr auto kCleanerPatience = 5s;

std::int64_t seconds_now() {
  return std::chrono::duration_cast<std::chrono::seconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

Found found_of(Unfit unfit) {
  return unfit == Unfit::no          ? Found::unreadable
         : unfit == Unfit::untrusted ? Found::untrusted
                                     : Found::damaged;
}

Lookup look_at(const std::filesystem::path& file, const Key& key, const Wanted& wanted,
               SpareBuffer& spare) {
  Unfit unfit = Unfit::no;
  auto content = read_plain_file(file, kMaxEntryBytes, Owner::trusted, unfit, spare.take());
  if (!content) {
    return {.found = found_of(unfit), .place = file.string(), .problem = content.error().message};
  }
  if (!*content) return {};
  Lookup lookup = judge((*content)->bytes, file.string(), key, wanted);
  lookup.modified = (*content)->modified;
  spare.give_back(std::move((*content)->bytes));
  return lookup;
}

}  // namespace

std::filesystem::path CacheDirectory::file_of(const std::string& digest) const {
  return path_ / entry_name(digest);
}

std::filesystem::path CacheDirectory::file_of(const std::string& digest,
                                              const std::string& toolchain) const {
  return path_ / entry_name(digest, toolchain);
}

Result<void> CacheDirectory::check_usable() const {
  if (state_->is_trusted.load(std::memory_order_relaxed)) return {};
  if (auto trusted = check_trusted_directory(path_); !trusted) {
    return fail(trusted.error().code, "{} is not used: {}", path_.string(),
                trusted.error().message);
  }
  // Nobody else can change it any more. One that does not exist yet may come to be anything.
  if (std::error_code error; std::filesystem::is_directory(path_, error)) {
    state_->is_trusted.store(true, std::memory_order_relaxed);
  }
  return {};
}

bool CacheDirectory::has(const std::string& digest) const {
  return check_usable() && ::access(file_of(digest).c_str(), F_OK) == 0;
}

Lookup CacheDirectory::look(const Key& key, const Wanted& wanted) const {
  if (auto usable = check_usable(); !usable) {
    return {.found = Found::refused, .problem = usable.error().message};
  }
  const std::string digest = key.digest();
  Lookup newest = look_at(file_of(digest), key, wanted, state_->spare);
  const bool is_other =
      newest.found == Found::another_toolchain ||
      (newest.found == Found::entry && newest.entry.toolchain != wanted.toolchain);
  if (!is_other || wanted.toolchain.empty()) return newest;
  Lookup kept =
      look_at(file_of(digest, wanted.toolchain), key, {wanted.toolchain, false}, state_->spare);
  return kept.found == Found::entry ? kept : newest;
}

Lookup CacheDirectory::examine(const std::filesystem::path& file) const {
  const auto damaged = [&](std::string problem) {
    return Lookup{.found = Found::damaged, .place = file.string(), .problem = std::move(problem)};
  };
  Unfit unfit = Unfit::no;
  auto content = read_plain_file(file, kMaxEntryBytes, Owner::trusted, unfit);
  if (!content) {
    Lookup lookup = damaged(content.error().message);
    lookup.found = found_of(unfit);
    return lookup;
  }
  if (!*content) return {};
  auto entry = decode((*content)->bytes);
  if (!entry) return damaged(file.string() + ": " + entry.error().message);
  const std::string digest = hex(digest_of(entry->key));
  if (file.filename() != file_of(digest).filename() &&
      file.filename() != file_of(digest, entry->toolchain).filename()) {
    return damaged(file.string() + ": the entry is another key's");
  }
  return {.found = Found::entry,
          .entry = std::move(*entry),
          .place = file.string(),
          .modified = (*content)->modified};
}

Result<std::optional<Entry>> CacheDirectory::find(const Key& key) const {
  Lookup lookup = look(key, {});
  if (lookup.found == Found::entry) return std::move(lookup.entry);
  if (lookup.found == Found::nothing) return std::nullopt;
  return fail(Code::cache_io, "{}", lookup.problem);
}

Result<void> CacheDirectory::store(const Key& key, const Entry& entry) const {
  if (auto usable = check_usable(); !usable) return usable;
  if (auto created = create_private_directory(path_); !created) return created;
  // Once more: someone may have made it first.
  if (auto usable = check_usable(); !usable) return usable;
  keep_other(key, entry);
  const std::string bytes = encode(entry);
  if (auto published = publish_file(file_of(key.digest()), bytes); !published) return published;
  keep_within_limit(bytes.size());
  return {};
}

/// Programs with different compilers that share the directory would replace each other's entries at
/// every start.
void CacheDirectory::keep_other(const Key& key, const Entry& entry) const {
  const std::filesystem::path file = file_of(key.digest());
  if (::access(file.c_str(), F_OK) != 0) return;
  const Lookup there = look_at(file, key, {}, state_->spare);
  if (there.found != Found::entry || there.entry.toolchain == entry.toolchain) return;
  // Where links cannot be made the other one is lost, and will be compiled again.
  const auto other = file_of(key.digest(), there.entry.toolchain);
  static_cast<void>(::link(file.c_str(), other.c_str()));
}

void CacheDirectory::keep_within_limit(std::uint64_t added) const {
  if (max_bytes_ == kNoSizeLimit) return;
  // Far from the limit, not every store reads the directory: eight processes that add a sixteenth
  // each do not pass it.
  const std::uint64_t may_add = state_->may_add.load(std::memory_order_relaxed);
  if (added <= may_add) return state_->may_add.store(may_add - added, std::memory_order_relaxed);
  const bool is_far = prune(max_bytes_).kept <= max_bytes_ / 2;
  state_->may_add.store(is_far ? max_bytes_ / 16 : 0, std::memory_order_relaxed);
}

Pruned CacheDirectory::prune(std::uint64_t max_bytes) const {
  if (std::error_code error; !check_usable() || !std::filesystem::is_directory(path_, error)) {
    return {};
  }
  const FileLock lock = FileLock::acquire(path_ / kLockFile, kCleanerByte, kCleanerPatience);
  const std::vector<CacheFile> files = files_of(path_);
  if (lock.state() == FileLock::State::timed_out) return {.kept = counted_bytes(files)};
  return qkjit::prune(files, max_bytes, max_bytes / 10 * 9, seconds_now());
}

void CacheDirectory::quarantine(const Lookup& damaged) const {
  const std::string bad = damaged.place + std::string(kQuarantineSuffix);
  if (::rename(damaged.place.c_str(), bad.c_str()) == 0) return;
  std::error_code ignored;  // what is there is of another kind: a directory, perhaps
  std::filesystem::remove_all(bad, ignored);
  static_cast<void>(::rename(damaged.place.c_str(), bad.c_str()));
}

void CacheDirectory::mark_used(const Lookup& used) const {
  const std::int64_t age = seconds_now() - used.modified;
  if (age < 0 || age > kStampGrain) touch_file(used.place);
}

FileLock CacheDirectory::lock(const Key& key, std::chrono::milliseconds limit,
                              const std::stop_token& stop) const {
  if (!check_usable() || !create_private_directory(path_)) return FileLock::unavailable();
  const std::uint64_t byte = std::stoull(key.digest().substr(0, 15), nullptr, 16);
  return FileLock::acquire(path_ / kLockFile, byte, limit, stop);
}

std::vector<CacheDirectory::File> CacheDirectory::list() const {
  std::vector<File> files;
  for (const CacheFile& file : files_of(path_)) {
    if (file.kind == CacheFile::Kind::entry) files.push_back({file.path, file.bytes});
  }
  std::ranges::sort(files, {}, &File::path);
  return files;
}

Result<std::size_t> CacheDirectory::clear() const {
  const std::vector<File> entries = list();
  std::error_code error;
  for (const auto name : {kBundleSignature, kBundleManifest}) {
    std::filesystem::remove(path_ / name, error);
  }
  for (const CacheFile& file : files_of(path_)) {
    if (file.kind != CacheFile::Kind::entry) std::filesystem::remove_all(file.path, error);
  }
  for (const File& file : entries) {
    if (!std::filesystem::remove(file.path, error) && error) {
      return fail(Code::cache_io, "cannot remove {}: {}", file.path.string(), error.message());
    }
  }
  return entries.size();
}

}  // namespace qkjit
