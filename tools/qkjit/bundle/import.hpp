// qkjit cache import: a bundle's entries into a cache, after everything about them was verified.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "cache/directory.hpp"
#include "cache/signature.hpp"
#include "tools/qkjit/bundle/destination.hpp"
#include "tools/qkjit/console.hpp"

namespace qkjit {

/// Whose bundles are imported.
struct BundleTrust {
  std::optional<PublicKey> key;  ///< only what its owner signed
  bool is_consented = false;     ///< without a key: whatever the bundle has may run
};

struct Imported {
  bool is_signed = false;  ///< and the signature was verified
  std::size_t entries = 0, stored = 0, present = 0;
  std::map<std::string, std::size_t> toolchains;  ///< how many entries are by each
};

/// The bundle may come from anyone, and be anything. Entries appear in `to` one by one and whole; a
/// failure, which is Code::cache_io, leaves those before it, each as its manifest says.
Result<Imported> import_bundle(const std::string& file, const BundleTrust& trust, Destination& to);

/// `own_toolchain` is the compiler whose entries serve in `to`, or empty if it does not matter
/// there: entries by others are noted.
Exit cache_import(const Console& console, const std::string& file, const BundleTrust& trust,
                  Destination& to, const std::string& own_toolchain);

}  // namespace qkjit
