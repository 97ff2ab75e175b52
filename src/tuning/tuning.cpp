#include "tuning/tuning.hpp"

#include "spec/text.hpp"
#include "tuning/builtin.hpp"

namespace qkjit {

Choices Tuning::choices(const Spec& spec, const std::string& device, const std::string& target) {
  const std::lock_guard lock(mutex_);
  const TuningTable& measured = table(device, target);
  const auto found = measured.specs.find(to_text(spec));
  return found != measured.specs.end() ? found->second : builtin_choices(spec, target);
}

const TuningTable& Tuning::table(const std::string& device, const std::string& target) {
  const auto [slot, is_new] = tables_.try_emplace({device, target});
  if (!is_new) return slot->second;
  for (const std::filesystem::path& directory : directories_) {
    auto read = read_tuning(directory, device, target);
    if (!read) {
      log_->warn("tuning table ignored: {}", read.error().message);
    } else if (!read->specs.empty()) {
      slot->second = std::move(*read);
      break;
    }
  }
  return slot->second;
}

}  // namespace qkjit
