// Cache keys: what decides an entry's content, as injective canonical text.
#pragma once

#include <string>
#include <string_view>

#include "util/hash.hpp"

namespace qkjit {

/// A record (key_record.hpp) of fields in the order in which they were added: different inputs
/// never share a key. The digest of the text names the file.
class Key {
 public:
  /// The key of an entry, whose record this is.
  static Key of_record(std::string record);

  Key& add(std::string_view name, std::string_view value);

  /// The whole record: stored in the entry and compared on every hit.
  const std::string& record() const { return record_; }
  /// 64 hexadecimal digits.
  std::string digest() const;

 private:
  std::string record_;
  RunningDigest digest_;
};

}  // namespace qkjit
