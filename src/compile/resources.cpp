#include "compile/resources.hpp"

#include <charconv>

namespace qkjit {
namespace {

/// The number right before the first `unit` in the text; 0 if there is none.
int number_before(std::string_view text, std::string_view unit) {
  const std::size_t end = text.find(unit);
  if (end == std::string_view::npos) return 0;
  const std::size_t begin = text.substr(0, end).find_last_not_of("0123456789") + 1;
  int number = 0;
  std::from_chars(text.data() + begin, text.data() + end, number);
  return number;
}

}  // namespace

std::vector<Resources> parse_resources(std::string_view log) {
  // ptxas writes "Compiling entry function 'name' for 'sm_90'" and then that kernel's lines.
  constexpr std::string_view kEntry = "Compiling entry function '";
  std::vector<Resources> all;
  std::size_t at = log.find(kEntry);
  while (at != std::string_view::npos) {
    const std::size_t name = at + kEntry.size();
    at = log.find(kEntry, name);
    const std::string_view block = log.substr(name, at - name);
    all.push_back({.kernel = std::string(block.substr(0, block.find('\''))),
                   .registers = number_before(block, " registers"),
                   .spill_stores = number_before(block, " bytes spill stores"),
                   .spill_loads = number_before(block, " bytes spill loads"),
                   .stack = number_before(block, " bytes stack frame"),
                   .shared = number_before(block, " bytes smem")});
  }
  return all;
}

}  // namespace qkjit
