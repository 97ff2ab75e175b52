#include "tools/qkjit/bundle/archive.hpp"

#include <archive.h>
#include <archive_entry.h>

#include <new>
#include <nlohmann/json.hpp>

namespace qkjit {
namespace {

/// Near the best that zstd does with kernels, at a tenth of its time.
constexpr const char* kLevel = "9";
constexpr std::size_t kBlock = 64 << 10;

struct EntryDeleter {
  void operator()(archive_entry* entry) const { archive_entry_free(entry); }
};

tl::unexpected<Error> archive_failure(const char* action, archive* open) {
  const char* const why = archive_error_string(open);
  return fail(Code::cache_io, "the archive cannot be {}: {}", action,
              why ? why : "libarchive does not say why");
}

la_ssize_t append(archive*, void* to, const void* bytes, std::size_t size) {
  try {
    static_cast<std::string*>(to)->append(static_cast<const char*>(bytes), size);
  } catch (const std::bad_alloc&) {
    return -1;  // no exception passes through libarchive
  }
  return static_cast<la_ssize_t>(size);
}

/// In quotes and printable: what comes from an archive may be anything.
std::string quoted(const std::string& name) {
  return nlohmann::json(name).dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
}

}  // namespace

void ArchiveDeleter::operator()(archive* open) const { archive_free(open); }

ArchiveWriter::ArchiveWriter() : archive_(archive_write_new()) {
  archive* const a = archive_.get();
  is_good_ =
      archive_write_set_format_pax_restricted(a) == ARCHIVE_OK &&
      archive_write_add_filter_zstd(a) == ARCHIVE_OK &&
      archive_write_set_filter_option(a, "zstd", "compression-level", kLevel) == ARCHIVE_OK &&
      archive_write_set_bytes_in_last_block(a, 1) == ARCHIVE_OK &&  // no zeros behind zstd's frame
      archive_write_open(a, &bytes_, nullptr, append, nullptr) == ARCHIVE_OK;
}

void ArchiveWriter::add(const std::string& name, std::string_view bytes) {
  const std::unique_ptr<archive_entry, EntryDeleter> entry(archive_entry_new());
  archive_entry_set_pathname(entry.get(), name.c_str());
  archive_entry_set_size(entry.get(), static_cast<la_int64_t>(bytes.size()));
  archive_entry_set_filetype(entry.get(), AE_IFREG);
  archive_entry_set_perm(entry.get(), 0644);
  archive_entry_set_mtime(entry.get(), 0, 0);
  is_good_ = is_good_ && archive_write_header(archive_.get(), entry.get()) == ARCHIVE_OK &&
             archive_write_data(archive_.get(), bytes.data(), bytes.size()) ==
                 static_cast<la_ssize_t>(bytes.size());
}

Result<std::string> ArchiveWriter::finish() {
  if (is_good_ && archive_write_close(archive_.get()) == ARCHIVE_OK) return std::move(bytes_);
  return archive_failure("written", archive_.get());
}

Result<ArchiveReader> ArchiveReader::open(const std::string& file) {
  ArchiveHandle open(archive_read_new());
  archive* const a = open.get();
  if (archive_read_support_format_tar(a) != ARCHIVE_OK ||
      archive_read_support_filter_zstd(a) != ARCHIVE_OK ||
      archive_read_open_filename(a, file.c_str(), kBlock) != ARCHIVE_OK) {
    return archive_failure("read", a);
  }
  // libarchive would undo one compression after the other: a small file could keep it busy for
  // long.
  if (archive_filter_count(a) > 2) {
    return fail(Code::cache_io,
                "the archive is compressed more than once: needed is tar, or tar "
                "with zstd");
  }
  return ArchiveReader(std::move(open));
}

Result<std::optional<ArchiveReader::Member>> ArchiveReader::next() {
  archive_entry* entry = nullptr;
  const int status = archive_read_next_header(archive_.get(), &entry);
  if (status == ARCHIVE_EOF) return std::nullopt;
  if (status != ARCHIVE_OK) return archive_failure("read", archive_.get());
  const char* const name = archive_entry_pathname(entry);
  if (!name) return fail(Code::cache_io, "a member of the archive has no name");
  if (archive_entry_filetype(entry) != AE_IFREG || archive_entry_hardlink(entry) ||
      archive_entry_sparse_count(entry) > 0 || !archive_entry_size_is_set(entry)) {
    return fail(Code::cache_io,
                "the archive's member {} is no plain file: a bundle has no links, directories or "
                "devices",
                quoted(name));
  }
  return Member{name, static_cast<std::uint64_t>(archive_entry_size(entry))};
}

Result<std::string> ArchiveReader::read(const Member& member, std::uint64_t limit) {
  if (member.size > limit) {
    return fail(Code::cache_io, "the archive's member {} has {} bytes, more than the {} allowed",
                quoted(member.name), member.size, limit);
  }
  std::string bytes(member.size, '\0');
  std::size_t done = 0;
  while (done < bytes.size()) {
    const la_ssize_t got =
        archive_read_data(archive_.get(), bytes.data() + done, bytes.size() - done);
    if (got < 0) return archive_failure("read", archive_.get());
    if (got == 0) return fail(Code::cache_io, "the archive is cut short");
    done += static_cast<std::size_t>(got);
  }
  return bytes;
}

}  // namespace qkjit
