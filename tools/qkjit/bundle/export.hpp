// qkjit cache export and keygen: a cache directory as one file, and keys to sign it with.
#pragma once

#include <optional>
#include <string>

#include "tools/qkjit/bundle/contents.hpp"
#include "tools/qkjit/bundle/secret_key.hpp"
#include "tools/qkjit/console.hpp"

namespace qkjit {

/// The bundle's bytes: the manifest, its signature if there is a key, and the entries by name. The
/// same for the same contents, key and build of this program.
Result<std::string> pack(const Contents& contents, const std::optional<SecretKey>& key);

Exit cache_export(const Console& console, const CacheDirectory& from, const Selection& selection,
                  const std::string& key_file, const std::string& file);

Exit cache_keygen(const Console& console, const std::string& file);

}  // namespace qkjit
