#include "cache/key.hpp"

#include "util/hash.hpp"

namespace qkjit {

Key::Key(std::string record) : record_(std::move(record)), digest_(hex(digest_of(record_))) {}

Key Key::of(const std::vector<KeyField>& fields) {
  std::string record;
  record.reserve(1024);  // most keys are shorter
  for (const auto& [name, value] : fields) append_field(record, name, value);
  return Key(std::move(record));
}

}  // namespace qkjit
