// Without a device there is nothing to test: the run then ends before its first test, with the exit
// code that ctest reports as skipped.
#if __has_include(<catch2/catch_test_macros.hpp>)
#include <catch2/reporters/catch_reporter_event_listener.hpp>
#include <catch2/reporters/catch_reporter_registrars.hpp>
using CatchListener = Catch::EventListenerBase;
#else
#define CATCH_CONFIG_EXTERNAL_INTERFACES
#include <catch2/catch.hpp>
using CatchListener = Catch::TestEventListenerBase;
#endif

#include <cstdio>
#include <cstdlib>

#include "cuda/driver.hpp"

namespace {

constexpr int kSkipped = 77;

qkjit::Result<void> find_device() {
  const auto driver = qkjit::Driver::open();
  if (!driver) return tl::unexpected(driver.error());
  const auto count = (*driver)->device_count();
  if (!count) return tl::unexpected(count.error());
  if (*count == 0) return qkjit::fail(qkjit::Code::cuda_error, "the driver lists no device");
  return {};
}

class DeviceListener : public CatchListener {
 public:
  using CatchListener::CatchListener;

  void testRunStarting(const Catch::TestRunInfo&) override {
    const auto found = find_device();
    if (found) return;
    std::printf("skipped, no GPU: %s\n", found.error().message.c_str());
    std::fflush(stdout);
    std::_Exit(kSkipped);
  }
};

}  // namespace

CATCH_REGISTER_LISTENER(DeviceListener)
