#include "spec/text.hpp"

#include <fmt/ranges.h>

#include <charconv>
#include <functional>
#include <optional>
#include <set>
#include <vector>

#include "spec/names.hpp"
#include "util/nearest.hpp"

namespace qkjit {
namespace {

struct Field {
  std::string_view name;
  bool required;
  std::function<Result<void>(std::string_view value, Spec& spec)> parse;
  std::function<std::string(const Spec& spec)> print;
  std::function<bool(const Spec& spec)> is_default;
};

Field integer_field(std::string_view name, int Spec::*member) {
  const auto parse = [=](std::string_view value, Spec& spec) -> Result<void> {
    const char* end = value.data() + value.size();
    const auto [rest, error] = std::from_chars(value.data(), end, spec.*member);
    if (error == std::errc() && rest == end) return {};
    return fail(Code::invalid_argument, "spec field {}={}: needs an integer, such as {}=128", name,
                value, name);
  };
  return {name, true, parse, [=](const Spec& spec) { return fmt::to_string(spec.*member); },
          [](const Spec&) { return false; }};
}

template <class E>
Field enum_field(std::string_view name, E Spec::*member, bool required) {
  const auto parse = [=](std::string_view value, Spec& spec) -> Result<void> {
    for (std::size_t i = 0; i < kNames<E>.size(); ++i) {
      if (kNames<E>[i] != value) continue;
      spec.*member = static_cast<E>(i);
      return {};
    }
    return fail(Code::invalid_argument, "spec field {}={}: needs one of {}; nearest is {}", name,
                value, fmt::join(kNames<E>, ", "), nearest(value, kNames<E>));
  };
  return {name, required, parse,
          [=](const Spec& spec) { return std::string(name_of(spec.*member)); },
          [=](const Spec& spec) { return !required && spec.*member == Spec{}.*member; }};
}

/// In canonical order. A new field of Spec needs a line here.
const std::vector<Field>& fields() {
  static const std::vector<Field> all = {
      integer_field("head_dim", &Spec::head_dim),
      integer_field("rope_dim", &Spec::rope_dim),
      enum_field("layout", &Spec::layout, true),
      enum_field("dtype", &Spec::dtype, true),
      enum_field("rounding", &Spec::rounding, false),
      enum_field("positions", &Spec::positions, false),
  };
  return all;
}

std::vector<std::string_view> field_names() {
  std::vector<std::string_view> names;
  for (const Field& field : fields()) names.push_back(field.name);
  return names;
}

Result<void> parse_field(std::string_view text, Spec& spec, std::set<std::string_view>& seen) {
  const std::size_t equals = text.find('=');
  const std::string_view name = text.substr(0, equals);
  if (equals == std::string_view::npos) {
    return fail(Code::invalid_argument, "spec has '{}': needs name=value fields joined by commas",
                text);
  }
  for (const Field& field : fields()) {
    if (field.name != name) continue;
    if (!seen.insert(field.name).second) {
      return fail(Code::invalid_argument, "spec field {} is given twice: give it once", name);
    }
    return field.parse(text.substr(equals + 1), spec);
  }
  return fail(Code::invalid_argument, "spec field '{}' is unknown: fields are {}; nearest is {}",
              name, fmt::join(field_names(), ", "), nearest(name, field_names()));
}

}  // namespace

std::string to_text(const Spec& spec) {
  std::string text;
  for (const Field& field : fields()) {
    if (field.is_default(spec)) continue;
    text += fmt::format("{}{}={}", text.empty() ? "" : ",", field.name, field.print(spec));
  }
  return text;
}

Result<Spec> parse_spec(std::string_view text) {
  Spec spec;
  std::set<std::string_view> seen;
  std::size_t at = 0;
  while (at <= text.size()) {
    const std::size_t comma = std::min(text.find(',', at), text.size());
    if (auto parsed = parse_field(text.substr(at, comma - at), spec, seen); !parsed) {
      return tl::unexpected(parsed.error());
    }
    at = comma + 1;
  }
  for (const Field& field : fields()) {
    if (field.required && !seen.contains(field.name)) {
      return fail(Code::invalid_argument, "spec '{}' has no {}: add {}=...", text, field.name,
                  field.name);
    }
  }
  return normalized(spec);
}

Spec normalized(Spec spec) {
  if (spec.rope_dim == 0) spec.layout = Layout::interleaved, spec.positions = Positions::implicit;
  return spec;
}

}  // namespace qkjit
