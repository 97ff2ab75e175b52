// What every command shares: how it prints, and how it ends.
#pragma once

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "util/error.hpp"

namespace qkjit {

/// Exit codes of the program.
enum class Exit {
  good = 0,
  failed = 1,
  usage = 2,
  unsupported = 3,
  environment = 4,
  interrupted = 130
};

/// Data goes to stdout, as text or with --json as one JSON document; all the rest goes to stderr.
struct Console {
  bool json = false;
  bool color = false;
  int verbosity = 0;  ///< -1 quiet, 0 normal, 1 and more verbose

  void print(const std::string& text) const;              ///< a line of data, unless --json
  void note(const std::string& text) const;               ///< a line on stderr, unless -q
  void print_json(const nlohmann::json& document) const;  ///< only with --json
  std::string good(const std::string& text) const;        ///< green
  std::string bad(const std::string& text) const;         ///< red
  std::string strong(const std::string& text) const;      ///< bold
};

/// Whether --color auto|always|never, NO_COLOR and the terminal ask for color on stdout.
bool wants_color(const std::string& mode);

/// The exit code that belongs to an error.
Exit exit_of(Code code);

/// Says the error on stderr and gives the exit code that belongs to it.
Exit report(const Error& error);

/// "2026-11-24", for results that are kept.
std::string utc_date();

/// Rows of cells as aligned columns; the first row is the heading.
std::string table_text(const std::vector<std::vector<std::string>>& rows);

}  // namespace qkjit
