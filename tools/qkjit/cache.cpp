// qkjit cache: where the writable cache is, what it holds, and its care.
#include <filesystem>
#include <functional>
#include <memory>

#include "jit/metadata.hpp"
#include "options.hpp"
#include "tools/qkjit/bundle/commands.hpp"
#include "tools/qkjit/cache_care.hpp"
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
                       std::function<Exit(const Console&, const CacheDirectory&)> action) {
    CLI::App* const added = command->add_subcommand(name, text);
    added->callback([&console, &exit, action] {
      const auto cache = cache_directory();
      exit = cache ? action(console, *cache) : report(cache.error());
    });
    return added;
  };
  add("path", "Print its directory", print_path);
  add("list", "List its entries", list);
  add("stats", "Count what is in it, and its bytes", cache_stats);
  add("verify", "Check every entry; quarantine what is damaged, and say why", cache_verify);
  add("clear", "Remove its entries", clear);
  const auto max_size = std::make_shared<std::string>();
  add("prune", "Remove leftovers, and what was used longest ago down to the limit",
      [max_size](const Console& to, const CacheDirectory& cache) {
        return cache_prune(to, cache, *max_size);
      })
      ->add_option("--max-size", *max_size,
                   "4096, 512M, unlimited, ...; QKJIT_CACHE_MAX_SIZE if left out");
  add_bundle_commands(*command, console, exit);
}

}  // namespace qkjit
