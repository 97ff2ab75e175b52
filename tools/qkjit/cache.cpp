// qkjit cache: where the writable cache is, what it holds, and how to empty it.
#include <filesystem>

#include "jit/metadata.hpp"
#include "options.hpp"
#include "tools/qkjit/commands.hpp"

namespace qkjit {
namespace {

Result<CacheDirectory> cache_directory() {
  const std::string path = default_cache_directory();
  if (path.empty()) {
    return fail(Code::not_ready,
                "there is no cache directory: set QKJIT_CACHE_DIR, XDG_CACHE_HOME or HOME");
  }
  return CacheDirectory(std::filesystem::absolute(path));
}

Exit print_path(const Console& console, const CacheDirectory& cache) {
  console.print(cache.path().string());
  console.print_json({{"schema", "qkjit.cache.path/1"}, {"path", cache.path().string()}});
  return Exit::good;
}

Exit list(const Console& console, const CacheDirectory& cache) {
  std::vector<std::vector<std::string>> rows = {{"key", "target", "bytes", "kernel"}};
  nlohmann::json items = nlohmann::json::array();
  for (const CacheDirectory::File& file : cache.list()) {
    const auto kernel = read_kernel(file.path);
    const std::string key = file.path.stem().string();
    nlohmann::json item = {{"key", key}, {"bytes", file.bytes}};
    if (kernel) {
      item.update(
          {{"target", kernel->target}, {"entry", kernel->entry}, {"compiler", kernel->compiler}});
    } else {
      item["error"] = kernel.error().message;
    }
    items.push_back(item);
    rows.push_back({key.substr(0, 16), kernel ? kernel->target : "-", fmt::to_string(file.bytes),
                    kernel ? kernel->entry : "damaged: " + kernel.error().message});
  }
  console.print_json(
      {{"schema", "qkjit.cache.list/1"}, {"path", cache.path().string()}, {"entries", items}});
  console.print(items.empty() ? cache.path().string() + " is empty" : table_text(rows));
  return Exit::good;
}

Exit clear(const Console& console, const CacheDirectory& cache) {
  const auto removed = cache.clear();
  if (!removed) return report(removed.error());
  console.print(fmt::format("{} entries removed from {}", *removed, cache.path().string()));
  console.print_json(
      {{"schema", "qkjit.cache.clear/1"}, {"path", cache.path().string()}, {"removed", *removed}});
  return Exit::good;
}

}  // namespace

void add_cache(CLI::App& app, const Console& console, Exit& exit) {
  CLI::App* command = app.add_subcommand("cache", "The writable kernel cache");
  command->require_subcommand(1);
  const auto add = [&](const char* name, const char* text,
                       Exit (*action)(const Console&, const CacheDirectory&)) {
    command->add_subcommand(name, text)->callback([&console, &exit, action] {
      const auto cache = cache_directory();
      exit = cache ? action(console, *cache) : report(cache.error());
    });
  };
  add("path", "Print its directory", print_path);
  add("list", "List its entries", list);
  add("clear", "Remove its entries", clear);
}

}  // namespace qkjit
