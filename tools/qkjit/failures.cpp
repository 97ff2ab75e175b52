#include "tools/qkjit/failures.hpp"

#include "spec/text.hpp"

namespace qkjit {

void Failures::add(const Job& job, const Error& error) {
  const Exit exit = exit_of(error.code);
  exit_ = count_ == 0 || exit_ == exit ? exit : Exit::failed;
  jobs_[error.message].push_back(job);
  ++count_;
}

void Failures::print() const {
  for (const auto& [message, jobs] : jobs_) {
    fmt::print(stderr, "qkjit: {}\n", message);
    for (const Job& job : jobs) fmt::print(stderr, "  {}  {}\n", job.target, to_text(job.spec));
  }
}

}  // namespace qkjit
