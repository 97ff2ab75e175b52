#include "tools/qkjit/safetensors.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <limits>
#include <span>

#include "tools/qkjit/json_fields.hpp"
#include "util/file.hpp"

namespace qkjit {
namespace {

static_assert(std::endian::native == std::endian::little, "the format is little-endian");

constexpr std::size_t kLengthBytes = 8;
constexpr std::size_t kMaxHeaderBytes = 100'000'000;  // the reference implementation's limit
constexpr std::size_t kDataAlignment = 8;

struct Dtype {
  std::string_view name;
  qkjit_dtype value;
  std::int64_t size;
};
constexpr std::array<Dtype, 6> kDtypes = {{{"BF16", QKJIT_BF16, 2},
                                           {"F16", QKJIT_FP16, 2},
                                           {"F32", QKJIT_FP32, 4},
                                           {"I32", QKJIT_INT32, 4},
                                           {"I64", QKJIT_INT64, 8},
                                           {"F8_E4M3", QKJIT_FP8_E4M3, 1}}};

/// A tensor of the header; [begin, end) of the data.
struct Entry {
  StoredTensor tensor;
  std::int64_t begin, end;
};

constexpr std::int64_t kMaxInteger = std::numeric_limits<std::int64_t>::max();

/// A list of integers that are not negative; `count` below 0 takes any length.
std::vector<std::int64_t> sizes(Fields& fields, const char* name, int count) {
  const Fields::Json& list = fields.need(name);
  if (!list.is_array() || (count >= 0 && list.size() != static_cast<std::size_t>(count))) {
    fields.bad(name, count < 0 ? "must be a list" : fmt::format("must have {} entries", count));
  }
  std::vector<std::int64_t> values;
  for (const Fields::Json& value : list) {
    const bool fits = value.is_number_unsigned() &&
                      value.get<std::uint64_t>() <= static_cast<std::uint64_t>(kMaxInteger);
    if (!fits) fields.bad(name, "must have integers from 0 to 2^63 - 1, not " + value.dump());
    values.push_back(value.get<std::int64_t>());
  }
  return values;
}

Entry parse_entry(const std::string& name, const Fields::Json& json) {
  Fields fields(json, fmt::format("tensor '{}'", name));
  const std::string dtype_name = fields.text("dtype");
  const auto* dtype = std::ranges::find(kDtypes, dtype_name, &Dtype::name);
  if (dtype == kDtypes.end()) {
    fields.bad("dtype", fmt::format("is {}; known are BF16, F16, F32, I32 and I64", dtype_name));
  }
  const auto offsets = sizes(fields, "data_offsets", 2);
  Entry entry{{name, dtype->value, sizes(fields, "shape", -1), {}}, offsets[0], offsets[1]};
  fields.finish();

  std::int64_t bytes = dtype->size;
  for (const std::int64_t size : entry.tensor.shape) {
    // An empty dimension makes no other one harmless: strides are products too.
    if (__builtin_mul_overflow(bytes, std::max<std::int64_t>(size, 1), &bytes)) {
      fields.bad("shape", "is too large");
    }
  }
  if (std::ranges::count(entry.tensor.shape, 0) > 0) bytes = 0;
  if (entry.end - entry.begin != bytes) {
    fields.bad("data_offsets", fmt::format("is [{}, {}], but dtype and shape need {} bytes",
                                           entry.begin, entry.end, bytes));
  }
  return entry;
}

std::vector<Entry> parse_header(std::string_view header) {
  std::vector<Entry> entries;
  const Fields::Json json = parse_json_strictly(header);
  if (!json.is_object()) throw BadField("the header must be a JSON object");
  for (const auto& [name, value] : json.items()) {
    if (name == "__metadata__") continue;  // free text about the file
    entries.push_back(parse_entry(name, value));
  }
  std::ranges::sort(entries, {}, [](const Entry& e) { return std::pair(e.begin, e.end); });
  return entries;
}

std::vector<StoredTensor> take_data(std::vector<Entry> entries, std::string_view data) {
  std::vector<StoredTensor> tensors;
  std::int64_t position = 0;
  for (Entry& entry : entries) {
    if (entry.begin != position) {
      throw BadField(
          fmt::format("tensor '{}' begins at byte {} of the data, not at {}, where the "
                      "one before it ends",
                      entry.tensor.name, entry.begin, position));
    }
    if (entry.end > static_cast<std::int64_t>(data.size())) {
      throw BadField(fmt::format("tensor '{}' ends at byte {}, but the file has only {} of data",
                                 entry.tensor.name, entry.end, data.size()));
    }
    const auto bytes = std::as_bytes(std::span(data))
                           .subspan(static_cast<std::size_t>(position),
                                    static_cast<std::size_t>(entry.end - position));
    entry.tensor.bytes.assign(bytes.begin(), bytes.end());
    position = entry.end;
    tensors.push_back(std::move(entry.tensor));
  }
  if (position != static_cast<std::int64_t>(data.size())) {
    throw BadField(fmt::format("{} bytes of data belong to no tensor",
                               static_cast<std::int64_t>(data.size()) - position));
  }
  return tensors;
}

}  // namespace

std::string_view safetensors_name(qkjit_dtype dtype) {
  return std::ranges::find(kDtypes, dtype, &Dtype::value)->name;
}

std::int64_t safetensors_size(qkjit_dtype dtype) {
  return std::ranges::find(kDtypes, dtype, &Dtype::value)->size;
}

Result<std::vector<StoredTensor>> parse_safetensors(std::string_view file) {
  if (file.size() < kLengthBytes) {
    return fail(Code::invalid_argument, "{} bytes are no safetensors file", file.size());
  }
  std::uint64_t length = 0;
  std::memcpy(&length, file.data(), kLengthBytes);
  file.remove_prefix(kLengthBytes);
  if (length > kMaxHeaderBytes || length > file.size()) {
    return fail(Code::invalid_argument,
                "the header's length is {}: at most {}, and what the file has ({} bytes), can be; "
                "this is no safetensors file, or a part of one",
                length, kMaxHeaderBytes, file.size());
  }
  try {
    return take_data(parse_header(file.substr(0, length)), file.substr(length));
  } catch (const BadField& error) {
    return fail(Code::invalid_argument, "{}", error.what());
  } catch (const Fields::Json::exception& error) {
    return fail(Code::invalid_argument, "the header is not JSON: {}", error.what());
  }
}

Result<std::vector<StoredTensor>> read_safetensors(const std::filesystem::path& path) {
  const auto file = read_file(path, std::numeric_limits<std::size_t>::max());
  if (!file) return tl::unexpected(file.error());
  auto tensors = parse_safetensors(*file);
  if (!tensors) return fail(tensors.error().code, "{}: {}", path.string(), tensors.error().message);
  return tensors;
}

std::string format_safetensors(const std::vector<StoredTensor>& tensors) {
  Fields::Json header = Fields::Json::object();
  std::size_t position = 0;
  for (const StoredTensor& tensor : tensors) {
    const std::size_t end = position + tensor.bytes.size();
    header[tensor.name] = {{"dtype", safetensors_name(tensor.dtype)},
                           {"shape", tensor.shape},
                           {"data_offsets", {position, end}}};
    position = end;
  }
  std::string text = header.dump();
  text.append((kDataAlignment - text.size() % kDataAlignment) % kDataAlignment, ' ');

  const std::uint64_t length = text.size();
  std::string file(kLengthBytes, '\0');
  std::memcpy(file.data(), &length, kLengthBytes);
  file.reserve(kLengthBytes + text.size() + position);
  file += text;
  for (const StoredTensor& tensor : tensors) {
    file.append(reinterpret_cast<const char*>(tensor.bytes.data()), tensor.bytes.size());
  }
  return file;
}

Result<void> write_safetensors(const std::filesystem::path& path,
                               const std::vector<StoredTensor>& tensors) {
  return publish_file(path, format_safetensors(tensors), new_file_mode());
}

}  // namespace qkjit
