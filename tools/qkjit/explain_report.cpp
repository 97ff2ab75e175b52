#include "tools/qkjit/explain_report.hpp"

#include <fmt/ranges.h>

#include <algorithm>

#include "spec/text.hpp"
#include "spec/variant.hpp"

namespace qkjit {
namespace {

nlohmann::json layer_json(const LayerLookup& seen) {
  nlohmann::json layer = {{"layer", seen.layer->name()},
                          {"found", name_of(seen.lookup.found)},
                          {"file", seen.lookup.place},
                          {"why", seen.lookup.problem}};
  if (!seen.lookup.entry.toolchain.empty() && !seen.lookup.entry.key.empty()) {
    layer["toolchain"] = seen.lookup.entry.toolchain;
  }
  return layer;
}

nlohmann::json fields_json(const Key& key) {
  nlohmann::json fields = nlohmann::json::array();
  const auto known = fields_of(key.record());
  for (const auto& [name, value] : *known) {
    fields.push_back({{"name", name}, {"value", value}});
  }
  return fields;
}

nlohmann::json near_json(const Key& key, const NearEntry& near) {
  nlohmann::json differs = nlohmann::json::array();
  for (const FieldDifference& each :
       differences(*fields_of(key.record()), *fields_of(near.record))) {
    const auto text = [](std::string_view value) {
      return value.data() ? nlohmann::json(value) : nlohmann::json();
    };
    differs.push_back({{"field", each.name},
                       {"wanted", text(each.wanted)},
                       {"has", text(each.has)},
                       {"text", sentence_of(each)}});
  }
  return {{"file", near.file}, {"differs", differs}};
}

nlohmann::json to_json(const VariantExplanation& variant) {
  nlohmann::json layers = nlohmann::json::array();
  for (const LayerLookup& seen : variant.layers) layers.push_back(layer_json(seen));
  return {{"variant", to_text(variant.choice.variant)},
          {"from_bytes", variant.choice.from_bytes},
          {"entry", variant.entry},
          {"key", variant.key.digest()},
          {"fields", fields_json(variant.key)},
          {"hit", variant.is_hit()},
          {"layers", layers},
          {"nearest", variant.near ? near_json(variant.key, *variant.near) : nlohmann::json()}};
}

/// The fields beside spec and variant, long ones in short.
std::string fields_text(const Key& key) {
  std::vector<std::string> texts;
  const auto fields = fields_of(key.record());
  for (const auto& [name, value] : *fields) {
    if (name == "spec" || name == "variant") continue;
    if (name == "source") {
      texts.push_back(fmt::format("source of {} bytes", value.size()));
    } else if (name == "headers") {
      texts.push_back(fmt::format("headers {:.16}...", value));
    } else {
      std::string line(value);
      std::ranges::replace(line, '\n', ' ');
      texts.push_back(fmt::format("{} {}", name, line));
    }
  }
  return fmt::format("{}", fmt::join(texts, ", "));
}

void print_near(const Console& console, const VariantExplanation& variant) {
  const auto differing =
      differences(*fields_of(variant.key.record()), *fields_of(variant.near->record));
  console.print("  nearest   " + variant.near->file);
  for (const FieldDifference& one : differing) console.print("            " + sentence_of(one));
}

void print(const Console& console, const VariantExplanation& variant) {
  console.print(fmt::format("variant     {}, for calls of {} bytes and more",
                            to_text(variant.choice.variant), variant.choice.from_bytes));
  console.print("  kernel    " + variant.entry);
  console.print("  key       " + variant.key.digest());
  console.print("  fields    " + fields_text(variant.key));
  for (const auto& [layer, _, lookup, kernel] : variant.layers) {
    console.print(kernel ? fmt::format("  {}       {}, of {}", console.good("hit"), lookup.place,
                                       lookup.entry.toolchain)
                         : fmt::format("  {}      {} in {}{}", console.bad("miss"),
                                       name_of(lookup.found), layer->name(),
                                       lookup.problem.empty() ? "" : ": " + lookup.problem));
  }
  if (variant.layers.empty()) {
    console.print(fmt::format("  {}      {}", console.bad("miss"), name_of(Found::off)));
  }
  if (variant.near) print_near(console, variant);
}

}  // namespace

nlohmann::json to_json(const Explanation& explanation) {
  nlohmann::json variants = nlohmann::json::array();
  for (const VariantExplanation& variant : explanation.variants) {
    variants.push_back(to_json(variant));
  }
  return {{"spec", to_text(explanation.spec)},
          {"target", explanation.target},
          {"path", name_of(explanation.dispatch.path)},
          {"reason", name_of(explanation.dispatch.reason)},
          {"why", explanation.why},
          {"variants", variants}};
}

void print(const Console& console, const Explanation& explanation) {
  console.print("spec        " + to_text(explanation.spec));
  console.print("target      " + explanation.target);
  const auto [path, reason] = explanation.dispatch;
  console.print(fmt::format("path        {}{}: {}", console.strong(std::string(name_of(path))),
                            reason == Reason::none ? "" : fmt::format(" ({})", name_of(reason)),
                            explanation.why));
  for (const VariantExplanation& variant : explanation.variants) print(console, variant);
}

nlohmann::json print_place(const Console& console, Jit& jit) {
  const JitOptions& options = jit.options();
  const Wanted wanted = jit.wanted();
  const std::string compiler = compiler_file(options);
  console.print(fmt::format(
      "compiler    {}", compiler.empty() ? "none is found" : wanted.toolchain + " at " + compiler));
  console.print(fmt::format("entries     of {}", wanted.any_toolchain
                                                     ? "any compiler"
                                                     : "this compiler; in a bundle's directory, of "
                                                       "those that it pins"));
  nlohmann::json path = nlohmann::json::array();
  console.print("cache       " + (options.writable
                                      ? options.writable->name()
                                      : "nothing is kept: " + options.why_not_writable));
  for (const ReadOnlyDirectory& layer : options.read_only) {
    console.print(fmt::format("            {}, read-only", layer.name()));
    path.push_back(layer.name());
  }
  return {
      {"schema", "qkjit.explain/1"},
      {"toolchain", wanted.toolchain},
      {"any_toolchain", wanted.any_toolchain},
      {"compiler", compiler},
      {"may_compile", options.compile != CompilePolicy::never},
      {"writable", options.writable ? nlohmann::json(options.writable->name()) : nlohmann::json()},
      {"why_not_writable", options.why_not_writable},
      {"read_only", path}};
}

}  // namespace qkjit
