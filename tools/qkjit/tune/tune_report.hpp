// What tuning found, as a table and as the file that the library reads.
#pragma once

#include <string>
#include <vector>

#include "tools/qkjit/console.hpp"
#include "tools/qkjit/tune/tuner.hpp"

namespace qkjit::tune {

struct Report {
  std::string device, driver, target, file;
  std::vector<SpecResult> specs;
};

/// The tuning table (src/tuning/table.hpp) with the specs of `report`, those of `before` that are
/// not among them, and for people what was measured.
nlohmann::json table_json(const Report& report, const nlohmann::json& before);

void print(const Console& console, const Report& report, const nlohmann::json& counters);

}  // namespace qkjit::tune
