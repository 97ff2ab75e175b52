#include "tools/qkjit/tune/tune_report.hpp"

#include <algorithm>

#include "spec/text.hpp"
#include "spec/variant.hpp"
#include "tuning/table.hpp"

namespace qkjit::tune {
namespace {

constexpr std::size_t kShown = 8;  // of the variants of a size

const Choice& choice_at(const Choices& choices, std::uint64_t bytes) {
  return *std::find_if(choices.rbegin(), choices.rend(),
                       [&](const Choice& choice) { return choice.from_bytes <= bytes; });
}

nlohmann::json choices_json(const SpecResult& spec) {
  nlohmann::json rows = nlohmann::json::array();
  for (const Choice& choice : spec.choices) {
    nlohmann::json measured = nlohmann::json::array();
    for (const SizeResult& size : spec.sizes) {
      const Measured* at = size.find(choice.variant);
      if (choice_at(spec.choices, size.bytes) != choice || !at) continue;
      measured.push_back({{"tokens", size.measured.tokens},
                          {"heads_q", size.measured.heads_q},
                          {"heads_k", size.measured.heads_k},
                          {"microseconds", at->microseconds},
                          {"percent_of_copy", at->percent_of_copy}});
    }
    rows.push_back({{"from_bytes", choice.from_bytes},
                    {"variant", to_text(choice.variant)},
                    {"measured", measured}});
  }
  return rows;
}

nlohmann::json sizes_json(const SpecResult& spec) {
  nlohmann::json sizes = nlohmann::json::array();
  for (const SizeResult& size : spec.sizes) {
    nlohmann::json variants = nlohmann::json::array();
    for (const Measured& m : size.variants) {
      variants.push_back({{"variant", to_text(m.variant)},
                          {"microseconds", m.microseconds},
                          {"percent_of_copy", m.percent_of_copy}});
    }
    sizes.push_back({{"tokens", size.measured.tokens}, {"variants", variants}});
  }
  return {{"spec", to_text(spec.spec)}, {"sizes", sizes}, {"choices", choices_json(spec)}};
}

}  // namespace

nlohmann::json table_json(const Report& report, const nlohmann::json& before) {
  nlohmann::json table = before;
  table.update({{"schema", kTuningSchema},
                {"device", report.device},
                {"target", report.target},
                {"driver", report.driver},
                {"date", utc_date()}});
  for (const SpecResult& spec : report.specs)
    table["specs"][to_text(spec.spec)] = choices_json(spec);
  return table;
}

void print(const Console& console, const Report& report, const nlohmann::json& counters) {
  for (const SpecResult& spec : report.specs) {
    console.print(console.strong(to_text(spec.spec)));
    std::vector<std::vector<std::string>> rows = {{"tokens", "us", "% of copy", "variant", ""}};
    for (const SizeResult& size : spec.sizes) {
      const Variant& chosen = choice_at(spec.choices, size.bytes).variant;
      for (std::size_t i = 0; i < size.variants.size(); ++i) {
        const Measured& m = size.variants[i];
        if (i >= kShown && m.variant != chosen) continue;
        rows.push_back({fmt::to_string(size.measured.tokens), fmt::format("{:.2f}", m.microseconds),
                        fmt::format("{:.1f}", m.percent_of_copy), to_text(m.variant),
                        m.variant == chosen ? "chosen" : ""});
      }
    }
    console.print(table_text(rows) + "\n");
  }
  console.print(fmt::format("written to {}", report.file));
  nlohmann::json document = counters;
  document.update({{"schema", "qkjit.tune/1"},
                   {"device", report.device},
                   {"driver", report.driver},
                   {"target", report.target},
                   {"file", report.file},
                   {"specs", nlohmann::json::array()}});
  for (const SpecResult& spec : report.specs) document["specs"].push_back(sizes_json(spec));
  console.print_json(document);
}

}  // namespace qkjit::tune
