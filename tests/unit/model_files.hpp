// The files of models/, for tests. QKJIT_MODELS_DIR is set by the build.
#pragma once

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "tests/catch.hpp"
#include "tools/qkjit/model.hpp"

inline std::string read_model_text(const std::string& name) {
  std::ifstream file(std::filesystem::path(QKJIT_MODELS_DIR) / (name + ".json"));
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

inline std::vector<std::string> model_names() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(QKJIT_MODELS_DIR)) {
    if (entry.path().extension() == ".json") names.push_back(entry.path().stem());
  }
  std::sort(names.begin(), names.end());
  return names;
}

inline qkjit::Model load_model(const std::string& name) {
  auto model = qkjit::parse_model(read_model_text(name));
  INFO(name << ": " << (model ? "" : model.error().message));
  REQUIRE(model.has_value());
  return *model;
}
