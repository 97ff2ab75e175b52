#include "tuning/tuning.hpp"

#include "spec/text.hpp"
#include "tuning/builtin.hpp"

namespace qkjit {

Choices Tuning::choices(const Spec& spec, const std::string& device, const std::string& target) {
  const TuningTable& measured = table(device, target);
  const auto found = measured.specs.find(to_text(spec));
  return found != measured.specs.end() ? found->second : builtin_choices(spec, target);
}

const TuningTable& Tuning::table(const std::string& device, const std::string& target) {
  const std::pair key(device, target);
  {
    const std::lock_guard lock(mutex_);
    if (const auto known = tables_.find(key); known != tables_.end()) return known->second;
  }
  TuningTable found = read(device, target);
  const std::lock_guard lock(mutex_);
  return tables_.try_emplace(key, std::move(found)).first->second;
}

TuningTable Tuning::read(const std::string& device, const std::string& target) {
  for (const std::filesystem::path& directory : directories_) {
    auto read = read_tuning(directory, device, target);
    if (!read) {
      log_->warn("tuning table ignored: {}", read.error().message);
    } else if (!read->specs.empty()) {
      return std::move(*read);
    }
  }
  return {};
}

}  // namespace qkjit
