// A bundle's manifest: which entries belong together, and what each is; docs/cache.md has it for
// other programs.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "cache/entry.hpp"

namespace qkjit {

inline constexpr std::string_view kBundleManifest = "bundle.json";
/// Ed25519, of the manifest's bytes; 64 bytes.
inline constexpr std::string_view kBundleSignature = "bundle.sig";
inline constexpr std::size_t kMaxManifestBytes = 16u << 20;

/// An entry as the manifest names it.
struct BundleFile {
  std::uint64_t size = 0;
  std::string digest;  ///< BLAKE2b-256 of the entry's bytes; hexadecimal
  std::string key;     ///< digest of its key record
  std::string toolchain;
  std::string target;  ///< "sm_90"

  bool operator==(const BundleFile&) const = default;
};

struct Bundle {
  std::string made_by;                      ///< "qkjit 0.1.0"
  std::map<std::string, BundleFile> files;  ///< by name in the directory and in the archive

  /// Null if there is none.
  const BundleFile* find(const std::string& name) const;
};

/// What the manifest says of an entry with these bytes, which decode() found good.
BundleFile describe(std::string_view bytes, const Entry& entry, const std::string& target);

/// The same bytes for the same bundle.
std::string to_text(const Bundle& bundle);

/// Code::cache_io says what is wrong, or which program is needed; `text` may come from anyone.
/// Each file has a plain name that belongs to its key and toolchain, and a size that an entry may
/// have.
Result<Bundle> parse_bundle(std::string_view text);

}  // namespace qkjit
