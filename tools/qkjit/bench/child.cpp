#include "tools/qkjit/bench/child.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>

namespace qkjit::bench {
namespace {

std::string to_message(const Result<std::vector<double>>& result) {
  if (result) return nlohmann::json(*result).dump();
  const nlohmann::json error = {{"code", static_cast<int>(result.error().code)},
                                {"message", result.error().message}};
  return error.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

/// An exception must not leave the child through its parent's stack.
Result<std::vector<double>> without_exceptions(
    const std::function<Result<std::vector<double>>()>& work) try {
  return work();
} catch (const std::exception& error) {
  return fail(Code::internal, "{}", error.what());
}

std::string read_all(int from) {
  std::string text;
  char buffer[4096];
  for (ssize_t got = 1; got != 0;) {
    got = read(from, buffer, sizeof(buffer));
    if (got > 0) text.append(buffer, static_cast<std::size_t>(got));
    if (got < 0 && errno != EINTR) break;
  }
  return text;
}

}  // namespace

Result<std::vector<double>> in_child(const std::function<Result<std::vector<double>>()>& work) {
  int ends[2];
  if (pipe(ends) != 0) return fail(Code::not_ready, "no pipe: {}", std::strerror(errno));
  const pid_t child = fork();
  if (child < 0) return fail(Code::not_ready, "no new process: {}", std::strerror(errno));
  if (child == 0) {
    const std::string message = to_message(without_exceptions(work));
    const auto written = write(ends[1], message.data(), message.size());
    _exit(written == static_cast<ssize_t>(message.size()) ? 0 : 1);
  }
  close(ends[1]);
  const std::string message = read_all(ends[0]);
  close(ends[0]);
  waitpid(child, nullptr, 0);
  const auto answer = nlohmann::json::parse(message, nullptr, false);
  if (answer.is_array()) return answer.get<std::vector<double>>();
  if (!answer.is_object()) return fail(Code::internal, "a child process ended without an answer");
  return fail(static_cast<Code>(answer["code"].get<int>()), "{}",
              answer["message"].get<std::string>());
}

}  // namespace qkjit::bench
