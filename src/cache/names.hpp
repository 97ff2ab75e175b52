// What the files of a cache directory are called; docs/cache.md says the same.
#pragma once

#include <string>
#include <string_view>

namespace qkjit {

inline constexpr std::string_view kEntrySuffix = ".qkjit";
/// After the name of an entry that was damaged.
inline constexpr std::string_view kQuarantineSuffix = ".bad";
inline constexpr std::string_view kLockFile = ".lock";

/// The name of a key's newest entry.
inline std::string entry_name(std::string_view digest) {
  return std::string(digest) + std::string(kEntrySuffix);
}
/// That of one that was there before an entry of another compiler came.
inline std::string entry_name(std::string_view digest, std::string_view toolchain) {
  return std::string(digest) + "." + std::string(toolchain) + std::string(kEntrySuffix);
}

inline bool is_entry_name(std::string_view name) { return name.ends_with(kEntrySuffix); }

inline bool is_quarantine_name(std::string_view name) {
  return name.ends_with(kQuarantineSuffix) &&
         is_entry_name(name.substr(0, name.size() - kQuarantineSuffix.size()));
}

/// Left by a process that died while it published a kernel or a tuning table.
inline bool is_temporary_name(std::string_view name) {
  return name.find(std::string(kEntrySuffix) + ".tmp.") != std::string_view::npos ||
         name.find(".json.tmp.") != std::string_view::npos;
}

}  // namespace qkjit
