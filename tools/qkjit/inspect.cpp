// qkjit inspect: the source, PTX and resources of one kernel.
#include <filesystem>
#include <memory>

#include "codegen/source.hpp"
#include "jit/metadata.hpp"
#include "options.hpp"
#include "spec/text.hpp"
#include "spec/variant.hpp"
#include "tools/qkjit/commands.hpp"
#include "tools/qkjit/report.hpp"
#include "tools/qkjit/session.hpp"
#include "tuning/builtin.hpp"
#include "util/packed.hpp"

namespace qkjit {
namespace {

struct Options {
  std::string subject, variant, target = "sm_90";
  bool source = false, ptx = false, resources = false;
};

Result<Kernel> kernel_in(const std::filesystem::path& file) {
  auto kernel = read_kernel(file);
  if (kernel) return kernel;
  return fail(kernel.error().code, "{}: {}", file.string(), kernel.error().message);
}

/// The one asked for, or the library's first choice.
Result<Variant> variant_of(const Options& options, const Spec& spec) {
  if (auto fused = require_fused(spec); !fused) return tl::unexpected(fused.error());
  if (options.variant.empty()) return builtin_choices(spec, options.target).front().variant;
  const auto variant = parse_variant(options.variant);
  if (!variant) return variant;
  if (auto checked = check_variant(spec, *variant, options.target); !checked) {
    return tl::unexpected(checked.error());
  }
  return variant;
}

/// A spec's kernel, compiled when it is not cached; else a file; else the entry of a key in the
/// cache.
Result<Kernel> find_kernel(const Options& options, const Console& console) {
  if (options.subject.find('=') != std::string::npos) {
    const auto spec = parse_spec(options.subject);
    if (!spec) return tl::unexpected(spec.error());
    const auto runtime = open_runtime(console);
    if (!runtime) return tl::unexpected(runtime.error());
    const auto variant = variant_of(options, *spec);
    if (!variant) return tl::unexpected(variant.error());
    const auto kernel = (*runtime)->compile(*spec, *variant, options.target);
    return kernel ? Result<Kernel>(**kernel) : tl::unexpected(kernel.error());
  }
  std::error_code ignored;
  if (std::filesystem::exists(options.subject, ignored)) return kernel_in(options.subject);
  const CacheDirectory cache(default_cache_directory());
  std::vector<std::filesystem::path> matches;
  for (const CacheDirectory::File& file : cache.list()) {
    const std::string key = file.path.stem().string();
    if (!options.subject.empty() && key.starts_with(options.subject)) matches.push_back(file.path);
  }
  if (matches.size() == 1) return kernel_in(matches.front());
  return fail(Code::unsupported,
              "'{}' is no spec, no file, and {} keys in {} begin with it: give a spec such as "
              "head_dim=128,rope_dim=128,layout=neox,dtype=bf16, an entry's file, or more of a key",
              options.subject, matches.size(), cache.path().string());
}

Exit show_source(const Console& console, const Options& options) {
  const auto spec = parse_spec(options.subject);
  if (!spec) return report(spec.error());
  const auto variant = variant_of(options, *spec);
  if (!variant) return report(variant.error());
  const Source source = fused_source(*spec, *variant);
  console.print(source.text);
  console.print_json({{"schema", "qkjit.inspect/1"},
                      {"spec", to_text(*spec)},
                      {"variant", to_text(*variant)},
                      {"entry", source.entry},
                      {"source", source.text}});
  return Exit::good;
}

std::string resources_text(const Kernel& kernel) {
  const Resources& r = kernel.resources;
  return fmt::format(
      "{}\n  target        {}\n  variant       {}\n  compiler      {}\n  registers     {}\n  "
      "spills        {} bytes "
      "stored, {} "
      "loaded\n  stack         {} bytes\n  shared        {} bytes\n  cubin         {} bytes\n  key "
      "          "
      "{} ({})",
      kernel.entry, kernel.target, kernel.variant, kernel.compiler, r.registers, r.spill_stores,
      r.spill_loads, r.stack, r.shared, kernel.cubin.size(), kernel.key,
      kernel.origin == Origin::cache ? "cached" : "compiled now");
}

Exit inspect(const Console& console, const Options& options) {
  if (options.source) return show_source(console, options);
  const auto kernel = find_kernel(options, console);
  if (!kernel) return report(kernel.error());
  nlohmann::json document = to_json(*kernel);
  document.update({{"schema", "qkjit.inspect/1"},
                   {"compiled", kernel->origin == Origin::compiled ? 1 : 0},
                   {"hits", kernel->origin == Origin::cache ? 1 : 0},
                   {"failed", 0}});
  std::string ptx;
  if (options.ptx) {
    auto unpacked = unpack(kernel->packed_ptx, kMaxEntryBytes);
    if (!unpacked) return report(unpacked.error());
    document["ptx"] = ptx = std::move(*unpacked);
  }
  console.print_json(document);
  if (options.resources || !options.ptx) console.print(resources_text(*kernel));
  if (options.ptx) console.print(ptx);
  return Exit::good;
}

}  // namespace

void add_inspect(CLI::App& app, const Console& console, Exit& exit) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      app.add_subcommand("inspect", "Show what was generated for a spec, a key or a file");
  command
      ->add_option("subject", options->subject,
                   "A spec, the key of a cached entry, or an entry's file")
      ->required();
  command->add_option("--target", options->target, "The target to compile a spec for")
      ->capture_default_str();
  command->add_option("--variant", options->variant,
                      "How a spec is tuned, such as lanes=16,rows=2,threads=128,pdl=yes; the "
                      "library's choice if left out");
  command->add_flag("--source", options->source,
                    "The translation unit of a spec; needs no compiler");
  command->add_flag("--ptx", options->ptx, "The PTX");
  command->add_flag("--resources", options->resources, "Registers, spills and sizes (the default)");
  command->callback([options, &console, &exit] { exit = inspect(console, *options); });
}

}  // namespace qkjit
