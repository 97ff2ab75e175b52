// Packed text, and the checksum of entries.
#include "util/packed.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <string>

#include "tests/catch.hpp"
#include "tests/unit/mentions.hpp"
#include "util/checksum.hpp"

using namespace qkjit;

TEST_CASE("what is packed comes back", "[packed]") {
  for (const std::size_t size : {0, 1, 1000, 300'000}) {
    std::string text;
    while (text.size() < size) text += fmt::format("mov.b32 %r{};\n", text.size());
    text.resize(size);
    const std::string packed = pack(text);
    CHECK(unpack(packed, size) == text);
    if (size > 0) CHECK(fails(unpack(packed, size - 1), Code::cache_io, {"at most"}));
    if (size > 1000) CHECK(packed.size() < size / 4);
    CHECK(pack(text) == packed);
  }
}

TEST_CASE("what is no frame, or a damaged one, is refused", "[packed]") {
  CHECK(fails(unpack("", 100), Code::cache_io, {"0 bytes", "zstd"}));
  CHECK(fails(unpack("plain text, and not packed", 100), Code::cache_io, {"zstd"}));
  const std::string packed = pack(std::string(5000, 'x'));
  for (std::size_t length = 0; length < packed.size(); ++length) {
    if (unpack(packed.substr(0, length), 5000)) FAIL("length " << length);
  }
}

TEST_CASE("checksums are xxHash's", "[checksum]") {
  // xxHash's own: `printf '' | xxh128sum`, and `xxhsum -H3`
  CHECK(fmt::format("{:02x}", fmt::join(checksum_of(""), "")) ==
        "99aa06d3014798d86001c324468d497f");
  CHECK(hash_of("") == 0x2d06800538d394c2);
}
