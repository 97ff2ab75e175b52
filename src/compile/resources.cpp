#include "compile/resources.hpp"

#include <regex>

namespace qkjit {
namespace {

int number(const std::string& text, const std::regex& pattern) {
  std::smatch match;
  return std::regex_search(text, match, pattern) ? std::stoi(match[1]) : 0;
}

}  // namespace

std::vector<Resources> parse_resources(std::string_view log) {
  // ptxas writes "Compiling entry function 'name' for 'sm_90'" and then that kernel's lines.
  static const std::regex entry("Compiling entry function '([^']+)'");
  const std::string text(log);
  std::vector<Resources> all;
  for (std::sregex_iterator it(text.begin(), text.end(), entry), end; it != end; ++it) {
    const std::size_t from = it->position() + it->length();
    const auto next = std::next(it);
    const std::size_t to = next == end ? text.size() : next->position();
    const std::string block = text.substr(from, to - from);
    all.push_back({.kernel = (*it)[1],
                   .registers = number(block, std::regex("Used (\\d+) registers")),
                   .spill_stores = number(block, std::regex("(\\d+) bytes spill stores")),
                   .spill_loads = number(block, std::regex("(\\d+) bytes spill loads")),
                   .stack = number(block, std::regex("(\\d+) bytes stack frame")),
                   .shared = number(block, std::regex("(\\d+) bytes smem"))});
  }
  return all;
}

}  // namespace qkjit
