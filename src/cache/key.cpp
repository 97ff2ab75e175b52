#include "cache/key.hpp"

#include <fmt/format.h>

#include "util/hash.hpp"

namespace qkjit {

Key& Key::add(std::string_view name, std::string_view value) {
  record_ += fmt::format("{}:{}:{}\n", name, value.size(), value);
  return *this;
}

std::string Key::digest() const { return hex(digest_of(record_)); }

}  // namespace qkjit
