// For libFuzzer: `cmake --preset fuzz`, docs/cache.md.
#include <cstddef>
#include <cstdint>

#include "tests/fuzz/entry_checks.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  qkjit::test::check_entry_bytes({reinterpret_cast<const char*>(data), size});
  return 0;
}
