// Strict reading of one JSON object, see json_fields.hpp.
#include "tools/qkjit/json_fields.hpp"

#include <cmath>

namespace qkjit {

Fields::Fields(const Json& object, std::string where) : object_(object), where_(std::move(where)) {
  if (!object.is_object()) throw BadField(where_ + " must be an object");
}

const Fields::Json* Fields::find(const char* name) {
  known_.insert(name);
  auto field = object_.find(name);
  return field == object_.end() ? nullptr : &*field;
}

const Fields::Json& Fields::need(const char* name) {
  if (const auto* field = find(name)) return *field;
  bad(name, "is missing");
}

const Fields::Json& Fields::need_object(const char* name) {
  const auto& field = need(name);
  if (!field.is_object() || field.empty()) bad(name, "must be an object with at least one entry");
  return field;
}

const Fields::Json& Fields::need_list(const char* name) {
  const auto& field = need(name);
  if (!field.is_array() || field.empty()) bad(name, "must be a list with at least one entry");
  return field;
}

std::string Fields::text(const char* name) {
  const auto& field = need(name);
  if (!field.is_string() || field.get_ref<const std::string&>().empty()) {
    bad(name, "must be a string that is not empty");
  }
  return field.get<std::string>();
}

std::string Fields::text_or(const char* name, std::string fallback) {
  return has(name) ? text(name) : fallback;
}

std::int64_t Fields::integer(const char* name, std::int64_t low, std::int64_t high) {
  const auto& field = need(name);
  if (!field.is_number_integer()) bad(name, "must be an integer");
  const auto value = field.get<std::int64_t>();
  if (value < low || value > high) {
    bad(name, fmt::format("is {}; it must be {} .. {}", field.dump(), low, high));
  }
  return value;
}

double Fields::positive(const char* name) {
  const auto& field = need(name);
  if (!field.is_number() || !(field.get<double>() > 0) || !std::isfinite(field.get<double>())) {
    bad(name, "must be a positive number");
  }
  return field.get<double>();
}

double Fields::positive_or(const char* name, double fallback) {
  return has(name) ? positive(name) : fallback;
}

bool Fields::flag_or(const char* name, bool fallback) {
  const auto* field = find(name);
  if (!field) return fallback;
  if (!field->is_boolean()) bad(name, "must be true or false");
  return field->get<bool>();
}

std::vector<std::string> Fields::texts(const char* name) {
  std::vector<std::string> result;
  for (const auto& entry : need_list(name)) {
    if (!entry.is_string()) bad(name, "must be a list of strings");
    result.push_back(entry.get<std::string>());
  }
  return result;
}

void Fields::finish() const {
  for (const auto& [name, value] : object_.items()) {
    if (known_.contains(name)) continue;
    std::string known;
    for (const auto& field : known_) known += (known.empty() ? "" : ", ") + field;
    throw BadField(fmt::format("{}: unknown field '{}'; known are: {}", where_, name, known));
  }
}

void Fields::bad(std::string_view field, std::string_view problem) const {
  throw BadField(fmt::format("{}: field '{}' {}", where_, field, problem));
}

Fields::Json parse_json_strictly(std::string_view text) {
  using Json = Fields::Json;
  std::vector<std::set<std::string>> open_objects;
  auto watch = [&](int, Json::parse_event_t event, Json& parsed) {
    if (event == Json::parse_event_t::object_start) open_objects.emplace_back();
    if (event == Json::parse_event_t::object_end) open_objects.pop_back();
    if (event == Json::parse_event_t::key &&
        !open_objects.back().insert(parsed.get<std::string>()).second) {
      throw BadField(fmt::format("field '{}' is given twice", parsed.get<std::string>()));
    }
    return true;
  };
  return Json::parse(text, watch);
}

}  // namespace qkjit
