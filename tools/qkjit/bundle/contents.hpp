// What a bundle is made of: the entries of a cache directory, and the manifest that names them.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "cache/bundle.hpp"
#include "cache/directory.hpp"

namespace qkjit {

/// Which entries; an empty list means all.
struct Selection {
  std::vector<std::string> targets, toolchains;
};

struct Contents {
  Bundle bundle;
  std::map<std::string, std::filesystem::path> files;  ///< by their names in the bundle
};

/// The directory's entries; Code::cache_io names one that is damaged. Of each key one has the name
/// under which it is found by every compiler, also where the selection left that one out.
Result<Contents> contents_of(const CacheDirectory& directory, const Selection& selection = {});

/// The kernel's entry in these bytes, as the manifest names it; Code::cache_io says what it is not.
Result<Entry> checked_entry(std::string_view bytes, const BundleFile& file);

/// Replaces the directory's manifest, and its signature, which may be empty.
Result<void> publish_manifest(const std::filesystem::path& directory, std::string_view manifest,
                              std::string_view signature, mode_t mode);

}  // namespace qkjit
