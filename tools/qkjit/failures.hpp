// What went wrong while compiling many kernels: each message once, with the kernels it is about.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "tools/qkjit/console.hpp"
#include "tools/qkjit/jobs.hpp"

namespace qkjit {

class Failures {
 public:
  void add(const Job& job, const Error& error);

  std::size_t count() const { return count_; }
  void print() const;  ///< on stderr

  /// The exit code that all failures have in common, else Exit::failed; good if there are none.
  Exit exit() const { return exit_; }

 private:
  std::map<std::string, std::vector<Job>> jobs_;  // by message
  std::size_t count_ = 0;
  Exit exit_ = Exit::good;
};

}  // namespace qkjit
