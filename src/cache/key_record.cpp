#include "cache/key_record.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace qkjit {
namespace {

/// Takes what stands before `end` off the text; nothing if `end` is not in it.
std::string_view take_until(std::string_view& text, char end) {
  const std::size_t length = text.find(end);
  if (length == std::string_view::npos) return {};
  const std::string_view taken = text.substr(0, length);
  text.remove_prefix(length + 1);
  return taken;
}

/// The value of the field of that name; no data if there is none.
std::string_view value_of(const std::vector<KeyField>& fields, std::string_view name) {
  const auto found = std::ranges::find(fields, name, &KeyField::name);
  return found == fields.end() ? std::string_view() : found->value;
}

}  // namespace

void append_field(std::string& record, std::string_view name, std::string_view value) {
  const fmt::format_int length(value.size());
  record.append(name).append(1, ':').append(length.data(), length.size()).append(1, ':');
  record.append(value).append(1, '\n');
}

Result<std::vector<KeyField>> fields_of(std::string_view record) {
  std::vector<KeyField> fields;
  for (std::string_view rest = record; !rest.empty();) {
    const std::string_view name = take_until(rest, ':'), digits = take_until(rest, ':');
    std::size_t size = 0;
    const auto [end, error] = std::from_chars(digits.begin(), digits.end(), size);
    const bool is_number = error == std::errc() && end == digits.end() &&
                           (digits.size() == 1 || digits.front() != '0');
    if (name.empty() || !is_number || size >= rest.size() || rest[size] != '\n') {
      return fail(Code::cache_io, "record is malformed at byte {}", record.size() - rest.size());
    }
    fields.push_back({name, rest.substr(0, size)});
    rest.remove_prefix(size + 1);
  }
  return fields;
}

std::vector<FieldDifference> differences(const std::vector<KeyField>& wanted,
                                         const std::vector<KeyField>& has) {
  std::vector<FieldDifference> differences;
  for (const KeyField& field : wanted) {
    const std::string_view other = value_of(has, field.name);
    if (!other.data() || other != field.value) {
      differences.push_back({field.name, field.value, other});
    }
  }
  for (const KeyField& field : has) {
    if (!value_of(wanted, field.name).data()) differences.push_back({field.name, {}, field.value});
  }
  return differences;
}

}  // namespace qkjit
