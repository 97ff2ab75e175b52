// Strict reading of one JSON object: every field is asked for by name, and what nobody asked for is
// an error. Throws BadField; the parser that uses it catches it at its edge.
#pragma once

#include <fmt/format.h>

#include <array>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace qkjit {

struct BadField : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// The names of an enum's values as JSON spells them.
template <class Enum, std::size_t N>
using Names = std::array<std::pair<std::string_view, Enum>, N>;

class Fields {
 public:
  using Json = nlohmann::ordered_json;

  /// `where` names the object in messages, e.g. "calls[2]". `object` must outlive this.
  Fields(const Json& object, std::string where);

  std::string text(const char* name);
  std::string text_or(const char* name, std::string fallback);
  std::int64_t integer(const char* name, std::int64_t low, std::int64_t high);
  double positive(const char* name);
  double positive_or(const char* name, double fallback);
  bool flag_or(const char* name, bool fallback);
  std::vector<std::string> texts(const char* name);

  template <class Enum, std::size_t N>
  Enum choice(const char* name, const Names<Enum, N>& names) {
    const auto value = text(name);
    std::string known;
    for (const auto& [spelling, result] : names) {
      if (spelling == value) return result;
      known += fmt::format("{}{}", known.empty() ? "" : ", ", spelling);
    }
    bad(name, fmt::format("'{}' is not one of: {}", value, known));
  }

  const Json* find(const char* name);         ///< null when absent
  const Json& need(const char* name);         ///< throws when absent
  const Json& need_object(const char* name);  ///< throws when absent or no object
  const Json& need_list(const char* name);    ///< throws when absent or no list, or an empty one
  bool has(const char* name) { return find(name) != nullptr; }

  /// Throws for the first field that was never asked for, with the list of those that were.
  void finish() const;

  [[noreturn]] void bad(std::string_view field, std::string_view problem) const;

 private:
  const Json& object_;
  std::string where_;
  std::set<std::string> known_;
};

/// Throws for bad syntax and for an object that has the same key twice.
Fields::Json parse_json_strictly(std::string_view text);

}  // namespace qkjit
