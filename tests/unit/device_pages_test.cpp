// Pages that are known to be a device's.
#include "device_pages.hpp"

#include "tests/catch.hpp"
#include "tests/unit/fake_args.hpp"

using namespace qkjit;

TEST_CASE("a page is known once it was added, and only that page", "[device_pages]") {
  DevicePages pages;
  constexpr std::uintptr_t kPage = 0x7f0000200000;
  CHECK_FALSE(pages.contains(address(kPage)));
  pages.add(address(kPage + 12345));
  CHECK(pages.contains(address(kPage)));
  CHECK(pages.contains(address(kPage + 0x1fffff)));
  CHECK_FALSE(pages.contains(address(kPage + 0x200000)));
  CHECK_FALSE(pages.contains(address(kPage - 1)));
}

TEST_CASE("pages displace one another and are never taken for each other", "[device_pages]") {
  DevicePages pages;
  constexpr std::uintptr_t kPage = 0x200000, kCount = 5000;
  for (std::uintptr_t i = 1; i <= kCount; ++i) {
    pages.add(address(i * kPage));
    CHECK(pages.contains(address(i * kPage)));
  }
  std::size_t known = 0;
  for (std::uintptr_t i = 1; i <= 2 * kCount; ++i) {
    const bool contains = pages.contains(address(i * kPage));
    known += contains;
    if (i > kCount) CHECK_FALSE(contains);
  }
  CHECK(known > 500);
}
