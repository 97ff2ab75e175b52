// A place where entries are looked up: a directory, or what a host puts behind this interface.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "cache/entry.hpp"
#include "cache/key.hpp"

namespace qkjit {

/// Whose entries serve. The same source gives the same results with every compiler, so another's
/// entry is right, but not what this machine's would make of it.
struct Wanted {
  std::string toolchain;      ///< preferred; empty: not known
  bool any_toolchain = true;  ///< another's entry serves too

  bool operator==(const Wanted&) const = default;
};

/// An entry, or the cause of a miss.
enum class Found {
  nothing,
  entry,
  another_toolchain,  ///< an entry, but of a compiler that is not wanted
  damaged,            ///< never an entry: cut short, changed, another key's, no file
  untrusted,          ///< a file that someone else could have written
  unreadable,         ///< perhaps an entry, but it could not be read now
  refused,            ///< someone else can write there: nothing of the layer is used
  off,                ///< there is no layer
};

/// "absent", "entry", "another_toolchain", "damaged", ...: words that stay, for people and
/// programs.
std::string_view name_of(Found found);

/// Whether it lies where an entry should be and will never be one.
constexpr bool is_rubbish(Found found) {
  return found == Found::damaged || found == Found::untrusted;
}

struct Lookup {
  Found found = Found::nothing;
  Entry entry = {};
  std::string place = {};     ///< of what was found
  std::int64_t modified = 0;  ///< its stamp, where the layer has such
  std::string problem = {};   ///< a sentence with its place; none of nothing and of an entry
};

/// What the bytes at `place` are to one who looks for `key`: the checks of every layer.
Lookup judge(std::string_view bytes, const std::string& place, const Key& key,
             const Wanted& wanted);

/// Thread-safe, and shared by processes if what is behind it is.
class CacheLayer {
 public:
  virtual ~CacheLayer() = default;

  /// For messages.
  virtual std::string name() const = 0;
  /// Whether there is something for the key, good or not; cheap.
  virtual bool has(const std::string& digest) const = 0;
  /// At most one entry, which judge() found good.
  virtual Lookup look(const Key& key, const Wanted& wanted) const = 0;
  virtual Result<void> store(const Key& key, const Entry& entry) const = 0;
};

}  // namespace qkjit
