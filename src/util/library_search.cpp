#include "util/library_search.hpp"

#include <fcntl.h>
#include <link.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <utility>

#include "util/descriptor.hpp"
#include "util/environment.hpp"

namespace qkjit {
namespace {

constexpr const char* kLinkerCache = "/etc/ld.so.cache";

// The format of glibc 2.32 and newer, and the second half of the older one.
constexpr std::string_view kMagic = "glibc-ld.so.cache1.1";
struct CacheHeader {
  char magic[20];
  std::uint32_t entries, string_bytes;
  std::uint8_t flags, padding[3];
  std::uint32_t extension, unused[3];
};
struct CacheEntry {
  std::int32_t flags;
  std::uint32_t name, file;  // offsets from the header
  std::uint32_t os_version;
  std::uint64_t hardware;
};
static_assert(sizeof(CacheHeader) == 48 && sizeof(CacheEntry) == 24);
constexpr std::int32_t kElfX8664 = 0x0303;

std::string_view text_at(std::string_view bytes, std::size_t offset) {
  if (offset >= bytes.size()) return {};
  bytes.remove_prefix(offset);
  return bytes.substr(0, bytes.find('\0'));
}

std::string_view base_name(std::string_view path) { return path.substr(path.rfind('/') + 1); }

std::string already_loaded(const std::string& soname) {
  std::pair<std::string_view, std::string> search = {soname, {}};
  const auto compare = [](dl_phdr_info* library, std::size_t, void* data) {
    auto& [wanted, file] = *static_cast<decltype(search)*>(data);
    if (base_name(library->dlpi_name) == wanted) file = library->dlpi_name;
    return file.empty() ? 0 : 1;
  };
  dl_iterate_phdr(compare, &search);
  return search.second;
}

bool is_there(const std::string& file) { return ::access(file.c_str(), R_OK) == 0; }

std::string in_environment(const std::string& soname) {
  const std::string path = environment("LD_LIBRARY_PATH");
  for (std::string_view rest = path; !rest.empty();) {
    const std::size_t end = std::min(rest.find_first_of(":;"), rest.size());
    if (end > 0) {
      const std::string file = std::string(rest.substr(0, end)) + "/" + soname;
      if (is_there(file)) return file;
    }
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return {};
}

/// Mapped, as the linker itself does: a search touches a part of it.
std::string in_linker_cache(const std::string& soname) {
  const Descriptor file(::open(kLinkerCache, O_RDONLY | O_CLOEXEC));
  struct stat status {};
  if (file.get() < 0 || ::fstat(file.get(), &status) != 0 || status.st_size <= 0) return {};
  const auto size = static_cast<std::size_t>(status.st_size);
  void* const bytes = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.get(), 0);
  if (bytes == MAP_FAILED) return {};
  std::string found = find_in_linker_cache({static_cast<const char*>(bytes), size}, soname);
  ::munmap(bytes, size);
  return found;
}

std::string find_one(const std::string& candidate) {
  if (candidate.find('/') != std::string::npos) return is_there(candidate) ? candidate : "";
  std::string file = already_loaded(candidate);
  if (file.empty()) file = in_environment(candidate);
  if (file.empty()) file = in_linker_cache(candidate);
  return file;
}

}  // namespace

std::string find_in_linker_cache(std::string_view bytes, std::string_view soname) {
  const std::size_t begin = bytes.find(kMagic);
  CacheHeader header;
  if (begin == std::string_view::npos || bytes.size() - begin < sizeof(header)) return {};
  bytes.remove_prefix(begin);
  std::memcpy(&header, bytes.data(), sizeof(header));
  for (std::size_t i = 0; i < header.entries; ++i) {
    const std::size_t offset = sizeof(header) + i * sizeof(CacheEntry);
    if (offset + sizeof(CacheEntry) > bytes.size()) return {};
    CacheEntry entry;
    std::memcpy(&entry, bytes.data() + offset, sizeof(entry));
    if (entry.flags == kElfX8664 && text_at(bytes, entry.name) == soname) {
      return std::string(text_at(bytes, entry.file));
    }
  }
  return {};
}

std::string find_library(std::span<const std::string> candidates) {
  for (const std::string& candidate : candidates) {
    if (std::string file = find_one(candidate); !file.empty()) return file;
  }
  return {};
}

}  // namespace qkjit
