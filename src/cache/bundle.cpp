#include "cache/bundle.hpp"

#include <nlohmann/json.hpp>

#include "cache/names.hpp"
#include "util/hash.hpp"

namespace qkjit {
namespace {

constexpr std::string_view kSchema = "qkjit.bundle/2";

bool is_digest(std::string_view text) {
  return text.size() == 2 * sizeof(Digest) &&
         text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

Result<BundleFile> parse_file(const std::string& name, const nlohmann::json& json) {
  const nlohmann::json& size = json.at("size");
  const BundleFile file{size.is_number_unsigned() ? size.get<std::uint64_t>() : 0,
                        json.at("digest"), json.at("key"), json.at("toolchain"), json.at("target")};
  if (file.size == 0 || !is_digest(file.digest) || !is_digest(file.key) ||
      !is_toolchain(file.toolchain)) {
    return fail(Code::cache_io, "the size, digest, key or toolchain of a file is none");
  }
  if (name != entry_name(file.key) && name != entry_name(file.key, file.toolchain)) {
    return fail(Code::cache_io, "a file's name is not its key's");
  }
  if (file.size > kMaxEntryBytes) {
    return fail(Code::cache_io, "{} has {} bytes, more than the {} that an entry may have", name,
                file.size, kMaxEntryBytes);
  }
  return file;
}

Result<Bundle> parse(const nlohmann::json& json) {
  // dump(): in quotes and escaped, for it may come from anyone.
  const nlohmann::json made_by = json.value("made_by", "another program");
  if (const auto& schema = json.at("schema"); schema != kSchema) {
    return fail(
        Code::cache_io,
        "its manifest is {}, by {}; this program reads \"{}\": export the bundle anew with a "
        "version of qkjit that writes that",
        schema.dump(), made_by.dump(), kSchema);
  }
  if (const auto& version = json.at("entry_version"); version != kEntryVersion) {
    return fail(Code::cache_io,
                "its entries have format {}, by {}; this program reads {}: export the bundle anew "
                "with a version of qkjit that writes that",
                version.dump(), made_by.dump(), kEntryVersion);
  }
  Bundle bundle{made_by, {}};
  for (const auto& item : json.at("files")) {
    const std::string name = item.at("name");
    auto file = parse_file(name, item);
    if (!file) return tl::unexpected(file.error());
    if (!bundle.files.emplace(name, std::move(*file)).second) {
      return fail(Code::cache_io, "it names {} twice", name);
    }
  }
  return bundle;
}

}  // namespace

const BundleFile* Bundle::find(const std::string& name) const {
  const auto found = files.find(name);
  return found == files.end() ? nullptr : &found->second;
}

BundleFile describe(std::string_view bytes, const Entry& entry, const std::string& target) {
  return {bytes.size(), hex(digest_of(bytes)), hex(digest_of(entry.key)), entry.toolchain, target};
}

std::string to_text(const Bundle& bundle) {
  nlohmann::json files = nlohmann::json::array();
  for (const auto& [name, file] : bundle.files) {
    files.push_back({{"name", name},
                     {"size", file.size},
                     {"digest", file.digest},
                     {"key", file.key},
                     {"toolchain", file.toolchain},
                     {"target", file.target}});
  }
  const nlohmann::json json = {{"schema", kSchema},
                               {"made_by", bundle.made_by},
                               {"entry_version", kEntryVersion},
                               {"files", std::move(files)}};
  return json.dump(1) + "\n";
}

Result<Bundle> parse_bundle(std::string_view text) {
  try {
    return parse(nlohmann::json::parse(text));
  } catch (const nlohmann::json::exception& error) {
    return fail(Code::cache_io, "it is no manifest: {}", error.what());
  }
}

}  // namespace qkjit
