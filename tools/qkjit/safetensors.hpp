// Files of tensors in the safetensors format: a little-endian 64-bit length, a JSON header of that
// length that maps each name to dtype, shape and data_offsets, and the data without holes
// (https://github.com/huggingface/safetensors, "Format"). By hand, because no library that reads it
// can be had from Debian, and the format is this short.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "qkjit/qkjit.h"
#include "util/error.hpp"

namespace qkjit {

struct StoredTensor {
  std::string name;
  qkjit_dtype dtype;
  std::vector<std::int64_t> shape;
  std::vector<std::byte> bytes;  ///< dense, row-major
};

/// As the format spells it: "BF16", "F16", "F32", "I32", "I64" or "F8_E4M3".
std::string_view safetensors_name(qkjit_dtype dtype);
/// Bytes of an element.
std::int64_t safetensors_size(qkjit_dtype dtype);

/// Strict: the tensors must cover the data exactly, each as large as dtype and shape say, and names
/// be unique. Code::invalid_argument says what is wrong, with the tensor's name; a dtype other than
/// the six above is among that. In the order of the data.
Result<std::vector<StoredTensor>> parse_safetensors(std::string_view file);

/// The same from a file; messages begin with its path. Code::cache_io if it cannot be read.
Result<std::vector<StoredTensor>> read_safetensors(const std::filesystem::path& path);

/// The file's bytes. Data begins at a multiple of 8.
std::string format_safetensors(const std::vector<StoredTensor>& tensors);

/// Replaces the file as a whole, with the permissions of any new file of the user.
Result<void> write_safetensors(const std::filesystem::path& path,
                               const std::vector<StoredTensor>& tensors);

}  // namespace qkjit
