// What must hold of any bytes at all that lie where an entry should be.
#pragma once

#include <string_view>

namespace qkjit::test {

/// Reads `bytes` as an entry, as a key record, as a bundle's manifest, as packed text and as the
/// parts of an entry whose checksum is right, as far as the library would. Aborts with a message if
/// what was read is not what was there; what the sanitizers see is theirs to report. Nothing is
/// written anywhere.
void check_entry_bytes(std::string_view bytes);

}  // namespace qkjit::test
