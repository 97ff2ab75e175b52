// Jobs in their order on a few threads, and how that ends.
#include "util/worker_pool.hpp"

#include <atomic>
#include <barrier>

#include "tests/catch.hpp"

using namespace qkjit;
using namespace std::chrono_literals;

namespace {

/// A job that runs until it is let go.
class Gate {
 public:
  WorkerPool::Job job() {
    return [this](const std::stop_token&) {
      ++inside;
      while (!open) std::this_thread::sleep_for(1ms);
      ++left;
    };
  }
  void wait_for(int count) const {
    while (inside < count) std::this_thread::sleep_for(1ms);
  }

  std::atomic<bool> open{false};
  std::atomic<int> inside{0}, left{0};
};

}  // namespace

TEST_CASE("jobs run in their order, and the pool is idle then", "[pool][threads]") {
  std::vector<int> done;
  WorkerPool pool(1);
  CHECK(pool.wait_idle(0ms));
  for (int i = 0; i < 20; ++i) {
    pool.submit([&done, i](const std::stop_token&) { done.push_back(i); });
  }
  CHECK(pool.wait_idle(std::nullopt));
  REQUIRE(done.size() == 20);
  for (int i = 0; i < 20; ++i) CHECK(done[static_cast<std::size_t>(i)] == i);
  CHECK(pool.counts().pending == 0);
  CHECK(pool.counts().done == 20);
}

TEST_CASE("no more jobs run at once than the pool has threads", "[pool][threads]") {
  Gate gate;
  WorkerPool pool(2);
  for (int i = 0; i < 5; ++i) pool.submit(gate.job());
  gate.wait_for(2);
  CHECK_FALSE(pool.wait_idle(20ms));
  CHECK(gate.inside == 2);
  CHECK(pool.counts().pending == 5);
  gate.open = true;
  CHECK(pool.wait_idle(20s));
  CHECK(gate.left == 5);
}

TEST_CASE("the end of a pool drops what is queued, and waits for what runs", "[pool][threads]") {
  Gate gate;
  std::atomic<bool> was_asked_to_stop{false};
  std::jthread opener;
  {
    WorkerPool pool(1);
    pool.submit([&](const std::stop_token& stop) {
      gate.job()(stop);
      was_asked_to_stop = stop.stop_requested();
    });
    pool.submit(gate.job());
    gate.wait_for(1);
    opener = std::jthread([&] {
      std::this_thread::sleep_for(50ms);
      gate.open = true;
    });
  }
  CHECK(gate.inside == 1);
  CHECK(gate.left == 1);
  CHECK(was_asked_to_stop);
}

TEST_CASE("who waits for a pool to be idle is released when it stops", "[pool][threads]") {
  Gate gate;
  WorkerPool pool(1);
  pool.submit(gate.job());
  pool.submit(gate.job());
  gate.wait_for(1);
  std::jthread waiting([&] { CHECK(pool.wait_idle(20s)); });
  gate.open = true;
  pool.stop();
  waiting.join();
  pool.submit(gate.job());  // nothing any more
  CHECK(pool.counts().pending == 0);
  CHECK(gate.inside == 1);
}

TEST_CASE("a job may stop its own pool", "[pool][threads]") {
  WorkerPool pool(1);
  std::atomic<bool> returned{false};
  pool.submit([&](const std::stop_token&) {
    pool.stop();
    returned = true;
  });
  while (!returned) std::this_thread::sleep_for(1ms);
}
