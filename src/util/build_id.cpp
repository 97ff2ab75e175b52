#include "util/build_id.hpp"

#include <elf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <cstring>
#include <span>
#include <vector>

#include "util/descriptor.hpp"

namespace qkjit {
namespace {

constexpr std::size_t kMaxNotes = 64 << 10;
constexpr std::size_t kMaxHeaders = 1024;

bool read_at(int fd, std::uint64_t offset, void* to, std::size_t size) {
  return ::pread(fd, to, size, static_cast<off_t>(offset)) == static_cast<ssize_t>(size);
}

std::size_t padded(std::size_t size) { return (size + 3) / 4 * 4; }

/// The id among the notes of a segment.
std::string id_in(std::span<const unsigned char> notes) {
  while (notes.size() >= sizeof(Elf64_Nhdr)) {
    Elf64_Nhdr header;
    std::memcpy(&header, notes.data(), sizeof(header));
    notes = notes.subspan(sizeof(header));
    if (header.n_namesz > notes.size() || header.n_descsz > notes.size()) return {};
    const std::size_t name_size = padded(header.n_namesz);
    const std::size_t size = name_size + header.n_descsz;
    if (size > notes.size()) return {};
    const bool is_gnu = header.n_namesz == 4 && std::memcmp(notes.data(), "GNU", 4) == 0;
    if (is_gnu && header.n_type == NT_GNU_BUILD_ID) {
      return fmt::format("{:02x}", fmt::join(notes.subspan(name_size, header.n_descsz), ""));
    }
    notes = notes.subspan(std::min(padded(size), notes.size()));
  }
  return {};
}

std::string id_at(int fd, std::uint64_t offset, std::uint64_t size) {
  if (size > kMaxNotes) return {};
  std::vector<unsigned char> notes(size);
  return read_at(fd, offset, notes.data(), notes.size()) ? id_in(notes) : std::string();
}

/// The headers of one kind; none if they cannot be read.
template <class Header>
std::vector<Header> table(int fd, std::uint64_t offset, std::size_t count) {
  std::vector<Header> headers(count);
  if (!read_at(fd, offset, headers.data(), count * sizeof(Header))) return {};
  return headers;
}

}  // namespace

std::string build_id(const std::filesystem::path& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  Elf64_Ehdr header;
  if (file.get() < 0 || !read_at(file.get(), 0, &header, sizeof(header))) return {};
  if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_ident[EI_CLASS] != ELFCLASS64 ||
      header.e_phentsize != sizeof(Elf64_Phdr) || header.e_phnum > kMaxHeaders) {
    return {};
  }
  for (const auto& segment : table<Elf64_Phdr>(file.get(), header.e_phoff, header.e_phnum)) {
    if (segment.p_type != PT_NOTE) continue;
    std::string id = id_at(file.get(), segment.p_offset, segment.p_filesz);
    if (!id.empty()) return id;
  }
  // Some of NVIDIA's wheels were edited, and their segments still say where the notes once were.
  if (header.e_shentsize != sizeof(Elf64_Shdr) || header.e_shnum > kMaxHeaders) return {};
  for (const auto& section : table<Elf64_Shdr>(file.get(), header.e_shoff, header.e_shnum)) {
    if (section.sh_type != SHT_NOTE) continue;
    std::string id = id_at(file.get(), section.sh_offset, section.sh_size);
    if (!id.empty()) return id;
  }
  return {};
}

}  // namespace qkjit
