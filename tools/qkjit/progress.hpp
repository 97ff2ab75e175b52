// Progress of many kernels on stderr. By hand because Debian has no library for it.
#pragma once

#include <unistd.h>

#include "spec/text.hpp"
#include "tools/qkjit/console.hpp"
#include "tools/qkjit/jobs.hpp"

namespace qkjit {

/// A line for each finished kernel on stderr; on a terminal they overwrite each other.
class Progress {
 public:
  Progress(const Console& console, std::size_t total)
      : console_(console), total_(total), terminal_(isatty(STDERR_FILENO)) {}

  void step(const JobResult& result) {
    if (console_.verbosity < 0) return;
    const std::string line =
        fmt::format("[{}/{}] {}  {}", ++done_, total_, result.job.target, to_text(result.job.spec));
    fmt::print(stderr, "{}{}{}", terminal_ ? "\r\033[K" : "", line, terminal_ ? "" : "\n");
    if (terminal_ && done_ == total_) fmt::print(stderr, "\r\033[K");
  }

 private:
  const Console& console_;
  std::size_t total_, done_ = 0;
  bool terminal_;
};

}  // namespace qkjit
