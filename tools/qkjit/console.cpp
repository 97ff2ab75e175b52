#include "tools/qkjit/console.hpp"

#include <fmt/chrono.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <ctime>

#include "util/environment.hpp"

namespace qkjit {
namespace {

std::string styled(bool color, int code, const std::string& text) {
  return color ? fmt::format("\033[{}m{}\033[0m", code, text) : text;
}

}  // namespace

void Console::print(const std::string& text) const {
  if (!json) fmt::print(stdout, "{}\n", text);
}

void Console::note(const std::string& text) const {
  if (verbosity >= 0) fmt::print(stderr, "{}\n", text);
}

void Console::print_json(const nlohmann::json& document) const {
  if (json) fmt::print(stdout, "{}\n", document.dump(2));
}

std::string Console::good(const std::string& text) const { return styled(color, 32, text); }
std::string Console::bad(const std::string& text) const { return styled(color, 31, text); }
std::string Console::strong(const std::string& text) const { return styled(color, 1, text); }

bool wants_color(const std::string& mode) {
  if (mode != "auto") return mode == "always";
  return environment("NO_COLOR").empty() && environment("TERM") != "dumb" && isatty(STDOUT_FILENO);
}

Exit exit_of(Code code) {
  switch (code) {
    case Code::ok:
      return Exit::good;
    case Code::unsupported:
      return Exit::unsupported;
    case Code::invalid_argument:
      return Exit::usage;
    case Code::not_ready:
    case Code::cache_io:
    case Code::cuda_error:
      return Exit::environment;
    case Code::compile_failed:
    case Code::internal:
      return Exit::failed;
  }
  return Exit::failed;
}

Exit report(const Error& error) {
  fmt::print(stderr, "qkjit: {}\n", error.message);
  return exit_of(error.code);
}

std::string utc_date() { return fmt::format("{:%Y-%m-%d}", fmt::gmtime(std::time(nullptr))); }

std::string table_text(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i)
      line += fmt::format("{:<{}}", row[i], widths[i] + 2);
    text += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
  }
  if (!text.empty()) text.pop_back();
  return text;
}

}  // namespace qkjit
