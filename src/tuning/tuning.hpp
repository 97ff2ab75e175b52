// The choices for a GPU: as measured on its kind, where a cache directory has that, else built in.
#pragma once

#include <filesystem>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "tuning/table.hpp"
#include "util/fork.hpp"
#include "util/log.hpp"

namespace qkjit {

/// Thread-safe. A table is read when its GPU is first asked for, and not again but by those who ask
/// meanwhile.
class Tuning {
 public:
  /// `directories` are looked through in order; the first with a table for a GPU is the one.
  Tuning(std::vector<std::filesystem::path> directories, std::shared_ptr<Log> log)
      : directories_(std::move(directories)), log_(std::move(log)) {}

  Choices choices(const Spec& spec, const std::string& device, const std::string& target);

 private:
  const TuningTable& table(const std::string& device, const std::string& target);
  TuningTable read(const std::string& device, const std::string& target);

  std::vector<std::filesystem::path> directories_;
  std::shared_ptr<Log> log_;
  ForkMutex mutex_;  // guards what follows: tables by device and target, which stay as they are
  std::map<std::pair<std::string, std::string>, TuningTable> tables_;
};

}  // namespace qkjit
