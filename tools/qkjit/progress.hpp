// Progress of many steps on stderr. By hand because Debian has no library for it.
#pragma once

#include <unistd.h>

#include "spec/text.hpp"
#include "spec/variant.hpp"
#include "tools/qkjit/console.hpp"
#include "tools/qkjit/jobs.hpp"

namespace qkjit {

/// A line for each finished step on stderr; on a terminal they overwrite each other.
class Progress {
 public:
  Progress(const Console& console, std::size_t total)
      : console_(console), total_(total), terminal_(isatty(STDERR_FILENO)) {}

  void step(const JobResult& result) {
    step(fmt::format("{}  {}  {}", result.job.target, to_text(result.job.spec),
                     to_text(result.job.variant)));
  }

  void step(const std::string& what) {
    if (console_.verbosity < 0) return;
    const std::string line = fmt::format("[{}/{}] {}", ++done_, total_, what);
    fmt::print(stderr, "{}{}{}", terminal_ ? "\r\033[K" : "", line, terminal_ ? "" : "\n");
    if (terminal_ && done_ == total_) fmt::print(stderr, "\r\033[K");
  }

 private:
  const Console& console_;
  std::size_t total_, done_ = 0;
  bool terminal_;
};

}  // namespace qkjit
