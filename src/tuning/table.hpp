// What `qkjit tune` measured on one kind of GPU, as a file in a cache directory:
//
//   {"schema": "qkjit.tuning/1", "device": "NVIDIA H200", "target": "sm_90", ...,
//    "specs": {"head_dim=128,...": [{"from_bytes": 0, "variant": "lanes=16,...", ...}, ...]}}
//
// Fields beside these (when, by which driver, how fast) are for people.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "tuning/choice.hpp"

namespace qkjit {

inline constexpr const char* kTuningSchema = "qkjit.tuning/1";
inline constexpr std::size_t kMaxTuningBytes = 4 << 20;

struct TuningTable {
  std::string device, target;
  std::map<std::string, Choices> specs;  ///< by canonical text
};

/// "tuning-NVIDIA_H200-sm_90.json": what the table of a GPU is called in a cache directory.
std::string tuning_file_name(const std::string& device, const std::string& target);

/// Strict: Code::invalid_argument says what is wrong, with a table that is another GPU's too.
Result<TuningTable> parse_tuning(std::string_view json, const std::string& device,
                                 const std::string& target);

/// A table without specs if there is no such file.
Result<TuningTable> read_tuning(const std::filesystem::path& directory, const std::string& device,
                                const std::string& target);

}  // namespace qkjit
