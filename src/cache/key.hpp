// Cache keys: what decides an entry's content, as injective canonical text.
#pragma once

#include <string>
#include <vector>

#include "cache/key_record.hpp"

namespace qkjit {

/// A record (key_record.hpp): different inputs never share one. Its digest names the file.
class Key {
 public:
  static Key of(const std::vector<KeyField>& fields);
  /// The key of an entry, whose record this is.
  static Key of_record(std::string record) { return Key(std::move(record)); }

  /// The whole record: stored in the entry and compared on every hit.
  const std::string& record() const { return record_; }
  /// 64 hexadecimal digits.
  const std::string& digest() const { return digest_; }

 private:
  explicit Key(std::string record);

  std::string record_, digest_;
};

}  // namespace qkjit
