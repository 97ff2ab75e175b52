#include "cache/key.hpp"

#include "cache/key_record.hpp"

namespace qkjit {

Key Key::of_record(std::string record) {
  Key key;
  key.digest_.add(record);
  key.record_ = std::move(record);
  return key;
}

Key& Key::add(std::string_view name, std::string_view value) {
  const std::size_t begin = record_.size();
  append_field(record_, name, value);
  digest_.add(std::string_view(record_).substr(begin));
  return *this;
}

std::string Key::digest() const { return hex(digest_.digest()); }

}  // namespace qkjit
