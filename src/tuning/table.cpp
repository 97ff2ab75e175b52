#include "tuning/table.hpp"

#include <cctype>
#include <nlohmann/json.hpp>

#include "spec/support.hpp"
#include "spec/text.hpp"
#include "spec/variant.hpp"
#include "util/file.hpp"

namespace qkjit {
namespace {

Result<Choices> parse_choices(const Spec& spec, const nlohmann::json& rows,
                              const std::string& target) {
  Choices choices;
  for (const auto& row : rows) {
    const auto variant = parse_variant(row.at("variant").get<std::string>());
    if (!variant) return tl::unexpected(variant.error());
    const nlohmann::json& from_bytes = row.at("from_bytes");
    if (!from_bytes.is_number_unsigned()) {
      return fail(Code::invalid_argument, "from_bytes={} of {}: needs a number of bytes",
                  from_bytes.dump(), to_text(spec));
    }
    choices.push_back({from_bytes.get<std::uint64_t>(), *variant});
  }
  if (auto checked = check_choices(spec, choices, target); !checked) {
    return tl::unexpected(checked.error());
  }
  return choices;
}

Result<TuningTable> parse(const nlohmann::json& document, const std::string& device,
                          const std::string& target) {
  const std::string schema = document.at("schema");
  TuningTable table{document.at("device"), document.at("target"), {}};
  if (schema != kTuningSchema || table.device != device || table.target != target) {
    return fail(Code::invalid_argument, "it is {} of {} ({}): needed is {} of {} ({})", schema,
                table.device, table.target, kTuningSchema, device, target);
  }
  for (const auto& [text, rows] : document.at("specs").items()) {
    const auto spec = parse_spec(text);
    if (!spec) return tl::unexpected(spec.error());
    if (auto fused = require_fused(*spec); !fused) {
      return fail(Code::invalid_argument, "{}: {}", text, fused.error().message);
    }
    auto choices = parse_choices(*spec, rows, target);
    if (!choices) return tl::unexpected(choices.error());
    table.specs[to_text(*spec)] = std::move(*choices);
  }
  return table;
}

}  // namespace

std::string tuning_file_name(const std::string& device, const std::string& target) {
  std::string name = device;
  for (char& c : name) {
    if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
  }
  return fmt::format("tuning-{}-{}.json", name, target);
}

Result<TuningTable> parse_tuning(std::string_view json, const std::string& device,
                                 const std::string& target) {
  try {
    return parse(nlohmann::json::parse(json), device, target);
  } catch (const nlohmann::json::exception& error) {
    return fail(Code::invalid_argument, "{}", error.what());
  }
}

Result<TuningTable> read_tuning(const std::filesystem::path& directory, const std::string& device,
                                const std::string& target) {
  const std::filesystem::path file = directory / tuning_file_name(device, target);
  std::error_code ignored;
  if (!std::filesystem::exists(file, ignored)) return TuningTable{device, target, {}};
  const auto text = read_file(file, kMaxTuningBytes);
  if (!text) return tl::unexpected(text.error());
  auto table = parse_tuning(*text, device, target);
  if (table) return table;
  return fail(Code::cache_io, "{}: {}", file.string(), table.error().message);
}

}  // namespace qkjit
