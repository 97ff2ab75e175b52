// The fuzzer's checks on inputs that are made here, so that every build runs them.
#include <cstring>
#include <random>
#include <vector>

#include "cache/key_record.hpp"
#include "jit/jit.hpp"
#include "jit/metadata.hpp"
#include "tests/fuzz/entry_checks.hpp"
#include "tests/unit/jit_fixture.hpp"
#include "tests/unit/mentions.hpp"
#include "util/checksum.hpp"

using namespace qkjit;
using namespace qkjit::test;

namespace {

/// Exactly as long as its content, so that AddressSanitizer sees a read beyond it.
void check(const std::string& bytes) {
  const std::vector<char> exact(bytes.begin(), bytes.end());
  check_entry_bytes({exact.data(), exact.size()});
}

Entry real_entry() {
  JitFixture f(std::nullopt);
  const auto kernel = f.obtain();
  REQUIRE(kernel.has_value());
  return to_entry(**kernel, kernel_key(kSpec, default_variant(kSpec), "sm_90").record());
}

/// As entry_checks takes an entry apart.
std::string as_parts(const Entry& entry) {
  return fmt::format("{}\x1f{}\x1f{}\x1f{}\x1f{}", entry.key, entry.metadata, entry.cubin,
                     entry.packed_ptx, entry.toolchain);
}

/// The file's checksum made right again after a change.
std::string with_checksum(std::string bytes) {
  bytes.resize(bytes.size() - sizeof(Checksum));
  const Checksum checksum = checksum_of(bytes);
  return bytes.append(reinterpret_cast<const char*>(checksum.data()), checksum.size());
}

}  // namespace

TEST_CASE("no change of an entry's file or of its parts breaks its reader", "[cache][fuzz]") {
  const Entry entry = real_entry();
  std::mt19937 random(20261130);
  for (const std::string& seed : {encode(entry), as_parts(entry), entry.key, entry.metadata}) {
    check(seed);
    for (int i = 0; i < 2000; ++i) {
      std::string bytes = seed;
      for (int change = 0; change <= i % 3 && !bytes.empty(); ++change) {
        const std::size_t at = random() % bytes.size();
        switch (random() % 4) {
          case 0:
            bytes[at] = static_cast<char>(random());
            break;
          case 1:
            bytes.erase(at, random() % 40);
            break;
          case 2:
            bytes.insert(at, seed.substr(random() % seed.size(), random() % 40));
            break;
          case 3:
            bytes.resize(at + 1);
            break;
        }
      }
      check(bytes);
    }
  }
}

TEST_CASE("lengths that lie are refused, also under a right checksum", "[cache][fuzz]") {
  const std::string file = encode(real_entry());
  for (std::size_t field = 0; field < 5; ++field) {
    for (const std::uint32_t lie : {0u, 1u, 0x7fffffffu, 0x80000000u, 0xffffffffu}) {
      std::string bytes = file;
      bytes.replace(12 + 4 * field, 4, reinterpret_cast<const char*>(&lie), 4);
      bytes = with_checksum(std::move(bytes));
      if (bytes != file) CHECK(fails(decode(bytes), Code::cache_io, {"says it has"}));
      check(bytes);
    }
  }
  // Lengths whose sum is right and which share the bytes out otherwise: another entry, but one.
  std::string shifted = file;
  std::uint32_t lengths[5];
  std::memcpy(lengths, file.data() + 12, sizeof(lengths));
  ++lengths[0], --lengths[1];
  shifted.replace(12, sizeof(lengths), reinterpret_cast<const char*>(lengths), sizeof(lengths));
  CHECK(decode(with_checksum(shifted)).has_value());
  check(with_checksum(shifted));
}

TEST_CASE("metadata of any kind is a kernel's or refused", "[cache][fuzz]") {
  Entry entry = real_entry();
  REQUIRE(to_kernel(entry, "").has_value());
  const auto refused = [&](const std::string& metadata) {
    INFO(metadata);
    entry.metadata = metadata;
    check(as_parts(entry));
    return fails(to_kernel(entry, ""), Code::cache_io, {"metadata"});
  };
  const std::string good = entry.metadata;
  for (const char* bad : {"", "{}", "5", "entry", "entry:1:5\n", "\xff\xfe"}) CHECK(refused(bad));
  for (std::size_t length = 0; length < good.size(); ++length) {
    CHECK(refused(good.substr(0, length)));
  }
  CHECK(refused(good + good));
  CHECK(refused(good + "more:1:5\n"));
  const auto changed = [&](const std::string& what, const std::string& with) {
    REQUIRE(good.find(what) != std::string::npos);
    return std::string(good).replace(good.find(what), what.size(), with);
  };
  CHECK(refused(changed("qkjit.entry/2", "qkjit.entry/3")));
  CHECK(refused(changed("target:5:", "lander:5:")));
  CHECK(refused(changed("shared:", "stated:")));
  for (const std::string registers : {"", "1e300", "-1", "1.5", "99999999999999999999", "true",
                                      "0x20", "2147483648", "-4294967297", " 32", "32 ", "+32"}) {
    CHECK(refused(
        changed("registers:2:32", fmt::format("registers:{}:{}", registers.size(), registers))));
  }
}

TEST_CASE("a key record is read back field by field, or refused", "[cache][fuzz]") {
  const Key key = Key::of({{"a", "1"}, {"b", ""}, {"c", "x:2:yz\nd:1:2\n"}});
  const auto fields = fields_of(key.record());
  REQUIRE(fields.has_value());
  CHECK(*fields == std::vector<KeyField>{{"a", "1"}, {"b", ""}, {"c", "x:2:yz\nd:1:2\n"}});
  CHECK(fields_of("")->empty());
  for (const char* bad : {"a", "a:", "a:1", "a:1:", "a:1:x", "a:2:x\n", "a:01:x\n", "a:-1:x\n",
                          "a:+1:x\n", "a: 1:x\n", ":1:x\n", "a:18446744073709551615:x\n",
                          "a:99999999999999999999:x\n", "a:1:x\n\n", "a::\n", "a:1:xy"}) {
    INFO(bad);
    CHECK(fails(fields_of(bad), Code::cache_io, {"malformed"}));
  }
  CHECK(fails(fields_of("a:1:x\nb"), Code::cache_io, {"byte"}));
}

TEST_CASE("two records differ in the fields that are named", "[cache]") {
  const Key wanted = Key::of({{"a", "1"}, {"b", "2"}, {"new", "3"}});
  const Key has = Key::of({{"old", "0"}, {"b", "2"}, {"a", ""}});
  const auto differing = differences(*fields_of(wanted.record()), *fields_of(has.record()));
  REQUIRE(differing.size() == 3);
  CHECK((differing[0].name == "a" && differing[0].wanted == "1" && differing[0].has.empty()));
  CHECK(differing[0].has.data() != nullptr);  // there, and empty
  CHECK((differing[1].name == "new" && differing[1].has.data() == nullptr));
  CHECK((differing[2].name == "old" && differing[2].wanted.data() == nullptr));
  CHECK(differences(*fields_of(wanted.record()), *fields_of(wanted.record())).empty());
}
