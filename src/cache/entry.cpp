#include "cache/entry.hpp"

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>

#include "util/checksum.hpp"

namespace qkjit {
namespace {

constexpr std::array<char, 8> kMagic = {'Q', 'K', 'J', 'I', 'T', 'E', 'N', 'T'};

struct Header {
  std::array<char, 8> magic;
  std::uint32_t version;
  std::uint32_t lengths[5];
};
static_assert(sizeof(Header) == 32 && std::endian::native == std::endian::little,
              "the header is the file format: another layout needs a new kEntryVersion");

}  // namespace

bool is_toolchain(std::string_view text) {
  constexpr std::string_view kAllowed = "abcdefghijklmnopqrstuvwxyz0123456789._-";
  return !text.empty() && text.size() <= 64 && text.front() != '.' &&
         text.find_first_not_of(kAllowed) == std::string_view::npos;
}

std::string encode(const Entry& entry) {
  const Header header = {kMagic,
                         kEntryVersion,
                         {static_cast<std::uint32_t>(entry.key.size()),
                          static_cast<std::uint32_t>(entry.metadata.size()),
                          static_cast<std::uint32_t>(entry.cubin.size()),
                          static_cast<std::uint32_t>(entry.packed_ptx.size()),
                          static_cast<std::uint32_t>(entry.toolchain.size())}};
  std::string bytes(reinterpret_cast<const char*>(&header), sizeof(header));
  bytes += entry.key;
  bytes += entry.metadata;
  bytes += entry.cubin;
  bytes += entry.packed_ptx;
  bytes += entry.toolchain;
  const Checksum checksum = checksum_of(bytes);
  bytes.append(reinterpret_cast<const char*>(checksum.data()), checksum.size());
  return bytes;
}

Result<Entry> decode(std::string_view bytes) {
  Header header;
  if (bytes.size() < sizeof(header) + sizeof(Checksum)) {
    return fail(Code::cache_io, "entry of {} bytes is cut short", bytes.size());
  }
  std::memcpy(&header, bytes.data(), sizeof(header));
  if (header.magic != kMagic) return fail(Code::cache_io, "not a cache entry: its magic is wrong");
  if (header.version != kEntryVersion) {
    return fail(Code::cache_io, "entry has format {}, this library reads {}", header.version,
                kEntryVersion);
  }
  std::uint64_t size = sizeof(header) + sizeof(Checksum);
  for (const std::uint32_t length : header.lengths) size += length;
  if (size != bytes.size()) {
    return fail(Code::cache_io, "entry of {} bytes says it has {}", bytes.size(), size);
  }
  const std::string_view content = bytes.substr(0, bytes.size() - sizeof(Checksum));
  const Checksum checksum = checksum_of(content);
  if (std::memcmp(checksum.data(), bytes.data() + content.size(), sizeof(checksum)) != 0) {
    return fail(Code::cache_io, "entry does not have the checksum it says: its content is damaged");
  }
  std::string_view rest = content.substr(sizeof(header));
  const auto take = [&](std::uint32_t length) {
    const std::string_view part = rest.substr(0, length);
    rest.remove_prefix(length);
    return part;
  };
  Entry entry;
  entry.key = take(header.lengths[0]);
  entry.metadata = take(header.lengths[1]);
  entry.cubin = take(header.lengths[2]);
  entry.packed_ptx = take(header.lengths[3]);
  entry.toolchain = take(header.lengths[4]);
  if (!is_toolchain(entry.toolchain)) {
    return fail(Code::cache_io, "entry has a toolchain that is no name");
  }
  return entry;
}

}  // namespace qkjit
