// Runs code that is expected to die in a child process.
#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <string>

namespace qkjit::simt {

struct Death {
  int wait_status;      ///< as waitpid() gives it
  std::string message;  ///< what the child wrote to stderr
};

/// The child dies by SIGALRM if `body` hangs, and exits with 0 if `body` survives.
template <class Body>
Death run_in_child(Body&& body) {
  int ends[2];
  std::fflush(nullptr);
  if (pipe(ends) != 0) return {-1, "pipe() failed"};
  const pid_t child = fork();
  if (child < 0) return {-1, "fork() failed"};
  if (child == 0) {
    dup2(ends[1], STDERR_FILENO);
    std::signal(SIGABRT, SIG_DFL);  // without the test framework's own report
    alarm(60);
    body();
    _exit(0);
  }
  close(ends[1]);
  Death death{};
  char buffer[4096];
  for (ssize_t got; (got = read(ends[0], buffer, sizeof buffer)) > 0;) {
    death.message.append(buffer, static_cast<std::size_t>(got));
  }
  close(ends[0]);
  waitpid(child, &death.wait_status, 0);
  return death;
}

}  // namespace qkjit::simt
