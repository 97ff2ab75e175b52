// A forked child that says by its exit status whether all was well.
#pragma once

#include <sys/wait.h>
#include <unistd.h>

namespace qkjit::test {

constexpr unsigned kLongestChild = 60;  // seconds; what hangs dies then

/// Forks. `body` runs in the child and says whether all was well; it may not use the test
/// framework.
template <class Body>
pid_t start_child(Body&& body) {
  const pid_t child = ::fork();
  if (child != 0) return child;
  ::alarm(kLongestChild);
  ::_exit(body() ? 0 : 1);
}

/// Whether the child ended, and well.
inline bool ended_well(pid_t child) {
  int status = 0;
  return child > 0 && ::waitpid(child, &status, 0) == child && status == 0;
}

template <class Body>
bool well_in_child(Body&& body) {
  return ended_well(start_child(body));
}

}  // namespace qkjit::test
