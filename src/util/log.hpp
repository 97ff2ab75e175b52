// Messages to the host: a private spdlog logger, so that the host's own spdlog is left alone.
#pragma once

#include <fmt/format.h>

#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "util/error.hpp"
#include "util/fork.hpp"

namespace spdlog {
class logger;
}

namespace qkjit {

/// level: 0 trace, 1 debug, 2 info, 3 warning, 4 error.
using LogCallback = void (*)(int level, const char* message, void* user_data);

/// Thread-safe. A forked child writes at once, whoever was writing in its parent.
class Log final : ForkListener {
 public:
  ~Log() { leave(); }

  /// To `callback`, or where it is null to stderr from `level` up: a name as in QKJIT_LOG, of which
  /// the empty one means "warning".
  static Result<std::shared_ptr<Log>> create(LogCallback callback, void* user_data,
                                             const std::string& level);

  template <class... Args>
  void debug(fmt::format_string<Args...> format, Args&&... args) {
    write(1, fmt::format(format, std::forward<Args>(args)...));
  }
  template <class... Args>
  void warn(fmt::format_string<Args...> format, Args&&... args) {
    write(3, fmt::format(format, std::forward<Args>(args)...));
  }
  /// Warns about `topic` the first time only.
  template <class... Args>
  void warn_once(const std::string& topic, fmt::format_string<Args...> format, Args&&... args) {
    if (first_time(topic)) warn(format, std::forward<Args>(args)...);
  }

 private:
  using MakeLogger = std::function<std::shared_ptr<spdlog::logger>()>;
  explicit Log(MakeLogger make) : make_(std::move(make)) { join(); }
  void after_fork_in_child() override { logger_.reset(); }
  std::shared_ptr<spdlog::logger> logger();
  void write(int level, const std::string& message);
  bool first_time(const std::string& topic);

  const MakeLogger make_;
  ForkMutex mutex_;                         // guards what follows
  std::shared_ptr<spdlog::logger> logger_;  // made for the first message: most processes have none
  std::set<std::string> topics_;
};

}  // namespace qkjit
