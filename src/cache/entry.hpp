// The content of one cache file, and its bytes:
//
//   entry    = magic version length{4} key metadata cubin ptx digest
//   magic    = "QKJITENT"                      ; 8 bytes
//   version  = u32                             ; kEntryVersion, little-endian like all numbers
//   length   = u32                             ; of key, metadata, cubin, ptx, in this order
//   key      = the key record (key.hpp)
//   metadata = JSON: function, target, compiler, resources, ... ; for people and tools: what is
//              launched, and how, follows from the key
//   digest   = BLAKE2b-256 of all before it
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "util/error.hpp"

namespace qkjit {

struct Entry {
  std::string key;
  std::string metadata;
  std::string cubin;
  std::string ptx;
};

inline constexpr std::size_t kMaxEntryBytes = 64u << 20;

std::string encode(const Entry& entry);

/// Code::cache_io with the cause for anything that is not exactly one entry.
Result<Entry> decode(std::string_view bytes);

}  // namespace qkjit
