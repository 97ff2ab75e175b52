// What a cache entry says of its kernel beside the code, as a record (cache/key_record.hpp): every
// hit reads it, and JSON takes a tenth of the whole start for that.
#pragma once

#include <filesystem>

#include "cache/entry.hpp"
#include "jit/kernel.hpp"

namespace qkjit {

Entry to_entry(const Kernel& kernel, const std::string& key_record);

/// `digest` is that of the entry's key. Code::cache_io if there is no code, or the metadata is not
/// what to_entry() writes.
Result<Kernel> to_kernel(Entry entry, const std::string& digest);

/// The kernel in an entry's file; Code::cache_io says what is wrong with it.
Result<Kernel> read_kernel(const std::filesystem::path& file);

}  // namespace qkjit
