#include "util/log.hpp"

#include <spdlog/logger.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/sinks/dist_sink.h>
#include <spdlog/sinks/stdout_color_sinks.h>

namespace qkjit {
namespace {

/// Hands each message to the host's function, unformatted.
class CallbackSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  CallbackSink(LogCallback callback, void* user_data)
      : callback_(callback), user_data_(user_data) {}

 private:
  void sink_it_(const spdlog::details::log_msg& message) override {
    const std::string text(message.payload.data(), message.payload.size());
    callback_(static_cast<int>(message.level), text.c_str(), user_data_);
  }
  void flush_() override {}

  LogCallback callback_;
  void* user_data_;
};

/// With a mutex of its own: that of spdlog's thread-safe one belongs to the process, and may be
/// locked for ever in a forked child.
spdlog::sink_ptr stderr_sink() {
  auto sink = std::make_shared<spdlog::sinks::dist_sink_mt>();
  sink->add_sink(std::make_shared<spdlog::sinks::stderr_color_sink_st>());
  sink->set_pattern("qkjit: %^%l%$: %v");
  return sink;
}

}  // namespace

Result<std::shared_ptr<Log>> Log::create(LogCallback callback, void* user_data,
                                         const std::string& level) {
  const auto threshold = level.empty() ? spdlog::level::warn : spdlog::level::from_str(level);
  if (threshold == spdlog::level::off && level != "off") {
    return fail(Code::invalid_argument,
                "QKJIT_LOG={} is not a level; use trace, debug, info, warning, error or off",
                level);
  }
  return std::shared_ptr<Log>(new Log([=] {
    spdlog::sink_ptr sink =
        callback ? std::make_shared<CallbackSink>(callback, user_data) : stderr_sink();
    auto logger = std::make_shared<spdlog::logger>("qkjit", std::move(sink));
    logger->set_level(callback ? spdlog::level::trace : threshold);
    return logger;
  }));
}

std::shared_ptr<spdlog::logger> Log::logger() {
  {
    const std::lock_guard lock(mutex_);
    if (logger_) return logger_;
  }
  auto made = make_();  // asks the system about stderr, so not under a ForkMutex
  const std::lock_guard lock(mutex_);
  if (!logger_) logger_ = std::move(made);
  return logger_;
}

void Log::write(int level, const std::string& message) {
  const auto logger = this->logger();  // the host's function may fork
  logger->log(static_cast<spdlog::level::level_enum>(level), "{}", message);
}

bool Log::first_time(const std::string& topic) {
  const std::lock_guard lock(mutex_);
  return topics_.insert(topic).second;
}

}  // namespace qkjit
