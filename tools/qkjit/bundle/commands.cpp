#include "tools/qkjit/bundle/commands.hpp"

#include <filesystem>
#include <memory>

#include "compile/nvrtc.hpp"
#include "jit/toolchain.hpp"
#include "options.hpp"
#include "tools/qkjit/bundle/export.hpp"
#include "tools/qkjit/bundle/import.hpp"
#include "util/environment.hpp"

namespace qkjit {
namespace {

struct ExportOptions {
  std::string from, key_file, file;
  Selection selection;
};

struct ImportOptions {
  std::string file, to, public_key;
  bool is_unsigned = false;
};

/// `path`, or the writable cache of the environment, with its limit.
Result<CacheDirectory> directory_at(std::string path) {
  if (path.empty()) path = default_cache_directory();
  if (path.empty()) {
    return fail(Code::not_ready,
                "there is no cache directory: set QKJIT_CACHE_DIR, XDG_CACHE_HOME or HOME");
  }
  const auto max_bytes = cache_max_bytes(0);
  if (!max_bytes) return tl::unexpected(max_bytes.error());
  return CacheDirectory(std::filesystem::absolute(path), *max_bytes);
}

Exit run_export(const Console& console, const ExportOptions& options) {
  const auto from = directory_at(options.from);
  if (!from) return report(from.error());
  return cache_export(console, *from, options.selection, options.key_file, options.file);
}

Exit run_import(const Console& console, const ImportOptions& options) {
  const auto key = cache_public_key(options.public_key.c_str());
  if (!key) return report(key.error());
  if (*key && options.is_unsigned) {
    return report(
        {Code::invalid_argument,
         "--unsigned is given, and QKJIT_CACHE_PUBLIC_KEY asks for a signature: unset one "
         "of them"});
  }
  const BundleTrust trust{*key, options.is_unsigned};
  if (!options.to.empty()) {
    DirectoryDestination to(options.to);
    return cache_import(console, options.file, trust, to, {});
  }
  const auto cache = directory_at({});
  if (!cache) return report(cache.error());
  CacheDestination to(*cache);
  const std::string compiler = toolchain_of(Nvrtc::find(environment("QKJIT_NVRTC")));
  return cache_import(console, options.file, trust, to, compiler);
}

void add_export(CLI::App& cache, const Console& console, Exit& exit) {
  const auto options = std::make_shared<ExportOptions>();
  CLI::App* const command = cache.add_subcommand(
      "export", "Make one reproducible file of its entries, for other machines");
  command->add_option("FILE", options->file, "The bundle to write: tar with zstd")->required();
  command
      ->add_option("--from", options->from,
                   "Another directory, such as one of `qkjit precompile --out`")
      ->check(CLI::ExistingDirectory);
  command->add_option("--key", options->key_file,
                      "Sign it with this secret of `qkjit cache keygen`");
  command->add_option("--target", options->selection.targets, "Only entries for sm_90, ...")
      ->delimiter(',');
  command
      ->add_option("--toolchain", options->selection.toolchains,
                   "Only entries by these compilers: nvrtc-65be0db342ad51a0, ...")
      ->delimiter(',');
  command->callback([options, &console, &exit] { exit = run_export(console, *options); });
}

void add_import(CLI::App& cache, const Console& console, Exit& exit) {
  const auto options = std::make_shared<ImportOptions>();
  CLI::App* const command =
      cache.add_subcommand("import", "Verify a bundle, and take its entries in");
  command->add_option("FILE", options->file, "What `qkjit cache export` made")->required();
  command->add_option("--to", options->to,
                      "A directory for QKJIT_CACHE_PATH, instead of the writable cache");
  CLI::Option* const key = command->add_option(
      "--public-key", options->public_key,
      "ed25519:..., the maker's, who must have signed it; QKJIT_CACHE_PUBLIC_KEY if left out");
  command
      ->add_flag("--unsigned", options->is_unsigned,
                 "Without a signature: let whoever made the file decide what your programs run")
      ->excludes(key);
  command->callback([options, &console, &exit] { exit = run_import(console, *options); });
}

}  // namespace

void add_bundle_commands(CLI::App& cache, const Console& console, Exit& exit) {
  add_export(cache, console, exit);
  add_import(cache, console, exit);
  const auto file = std::make_shared<std::string>();
  CLI::App* const keygen =
      cache.add_subcommand("keygen", "Make a key to sign bundles with: FILE and FILE.pub");
  keygen->add_option("FILE", *file, "The secret's file; it must not exist")->required();
  keygen->callback([file, &console, &exit] { exit = cache_keygen(console, *file); });
}

}  // namespace qkjit
