// The choices for a GPU: as measured on its kind, where a cache directory has that, else built in.
#pragma once

#include <filesystem>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "tuning/table.hpp"
#include "util/log.hpp"

namespace qkjit {

/// Thread-safe. A table is read when its GPU is first asked for, and not again.
class Tuning {
 public:
  /// `directories` are looked through in order; the first with a table for a GPU is the one.
  Tuning(std::vector<std::filesystem::path> directories, std::shared_ptr<Log> log)
      : directories_(std::move(directories)), log_(std::move(log)) {}

  Choices choices(const Spec& spec, const std::string& device, const std::string& target);

 private:
  const TuningTable& table(const std::string& device, const std::string& target);

  std::vector<std::filesystem::path> directories_;
  std::shared_ptr<Log> log_;
  std::mutex mutex_;                                                   // guards what follows
  std::map<std::pair<std::string, std::string>, TuningTable> tables_;  // by device and target
};

}  // namespace qkjit
