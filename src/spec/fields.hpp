// "name=value,name=value" as the fields of a struct, strictly: the text of a Spec and of a Variant.
#pragma once

#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "spec/names.hpp"
#include "util/error.hpp"
#include "util/nearest.hpp"

namespace qkjit {

template <class Struct>
struct Field {
  std::string_view name;
  bool required;
  std::function<Result<void>(std::string_view value, Struct& to)> parse;
  std::function<std::string(const Struct& from)> print;
  std::function<bool(const Struct& from)> is_default;
  std::vector<std::string_view> not_with = {};  ///< fields that say the same
  std::vector<std::string_view> values = {};    ///< of an enumeration
};

template <class Struct>
Field<Struct> integer_field(std::string_view name, int Struct::*member, bool required) {
  const auto parse = [=](std::string_view value, Struct& to) -> Result<void> {
    const char* end = value.data() + value.size();
    const auto [rest, error] = std::from_chars(value.data(), end, to.*member);
    if (error == std::errc() && rest == end) return {};
    return fail(Code::invalid_argument, "field {}={}: needs an integer, such as {}=128", name,
                value, name);
  };
  return {name, required, parse, [=](const Struct& from) { return fmt::to_string(from.*member); },
          [=](const Struct& from) { return !required && from.*member == Struct{}.*member; }};
}

template <class Struct, class E>
Field<Struct> enum_field(std::string_view name, E Struct::*member, bool required) {
  const auto parse = [=](std::string_view value, Struct& to) -> Result<void> {
    for (std::size_t i = 0; i < kNames<E>.size(); ++i) {
      if (kNames<E>[i] != value) continue;
      to.*member = static_cast<E>(i);
      return {};
    }
    return fail(Code::invalid_argument, "field {}={}: needs one of {}; nearest is {}", name, value,
                fmt::join(kNames<E>, ", "), nearest(value, kNames<E>));
  };
  return {name,
          required,
          parse,
          [=](const Struct& from) { return std::string(name_of(from.*member)); },
          [=](const Struct& from) { return !required && from.*member == Struct{}.*member; },
          {},
          {kNames<E>.begin(), kNames<E>.end()}};
}

/// Integers joined by plus signs, such as 24+20+20.
template <class Struct, std::size_t kCount>
Field<Struct> integers_field(std::string_view name, int (Struct::*member)[kCount]) {
  const auto print = [=](const Struct& from) {
    return fmt::to_string(fmt::join(from.*member, "+"));
  };
  const auto parse = [=](std::string_view value, Struct& to) -> Result<void> {
    const char* at = value.data();
    const char* const end = at + value.size();
    for (std::size_t i = 0; i < kCount; ++i) {
      const auto [rest, error] = std::from_chars(at, end, (to.*member)[i]);
      const bool is_last = i + 1 == kCount;
      if (error != std::errc() || (is_last ? rest != end : rest == end || *rest != '+')) {
        return fail(Code::invalid_argument,
                    "field {}={}: needs {} integers joined by +, such as {}=24+20+20", name, value,
                    kCount, name);
      }
      at = rest + 1;
    }
    return {};
  };
  return {name, false, parse, print,
          [=](const Struct& from) { return std::ranges::equal(from.*member, Struct{}.*member); }};
}

/// The fields that are not defaults, in the order given: the canonical text.
template <class Struct>
std::string fields_to_text(const std::vector<Field<Struct>>& fields, const Struct& from) {
  std::string text;
  for (const Field<Struct>& field : fields) {
    if (field.is_default(from)) continue;
    if (!text.empty()) text += ',';
    text.append(field.name).append(1, '=').append(field.print(from));
  }
  return text;
}

/// `what` names the struct in messages. Code::invalid_argument names a field that is unknown,
/// missing, repeated or has a bad value.
template <class Struct>
Result<Struct> parse_fields(const std::vector<Field<Struct>>& fields, std::string_view what,
                            std::string_view text) {
  std::vector<std::string_view> names;
  for (const Field<Struct>& field : fields) names.push_back(field.name);
  Struct result;
  std::set<std::string_view> seen;
  std::size_t at = 0;
  while (at <= text.size()) {
    const std::size_t comma = std::min(text.find(',', at), text.size());
    const std::string_view item = text.substr(at, comma - at);
    at = comma + 1;
    const std::size_t equals = item.find('=');
    const std::string_view name = item.substr(0, equals);
    if (equals == std::string_view::npos) {
      return fail(Code::invalid_argument, "{} has '{}': needs name=value fields joined by commas",
                  what, item);
    }
    const auto field = std::ranges::find(fields, name, &Field<Struct>::name);
    if (field == fields.end()) {
      return fail(Code::invalid_argument, "{} field '{}' is unknown: fields are {}; nearest is {}",
                  what, name, fmt::join(names, ", "), nearest(name, names));
    }
    if (!seen.insert(field->name).second) {
      return fail(Code::invalid_argument, "{} field {} is given twice: give it once", what, name);
    }
    for (const std::string_view other : field->not_with) {
      if (!seen.contains(other)) continue;
      return fail(Code::invalid_argument, "{} gives both {} and {}: give one of them", what, other,
                  name);
    }
    if (auto parsed = field->parse(item.substr(equals + 1), result); !parsed) {
      return fail(Code::invalid_argument, "{} {}", what, parsed.error().message);
    }
  }
  for (const Field<Struct>& field : fields) {
    if (field.required && !seen.contains(field.name)) {
      return fail(Code::invalid_argument, "{} '{}' has no {}: add {}=...", what, text, field.name,
                  field.name);
    }
  }
  return result;
}

}  // namespace qkjit
