#include "tools/qkjit/parallel.hpp"

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

namespace qkjit {

void for_each_index(std::size_t count, const std::function<void(std::size_t)>& work, int threads) {
  constexpr unsigned kMostThreads = 8;
  const unsigned cores = std::clamp(std::thread::hardware_concurrency(), 1u, kMostThreads);
  const std::size_t wanted = threads > 0 ? static_cast<unsigned>(threads) : cores;
  std::atomic<std::size_t> next{0};
  const auto run = [&] {
    for (std::size_t i = next++; i < count; i = next++) work(i);
  };
  std::vector<std::jthread> others;
  for (std::size_t i = 1; i < std::min(wanted, count); ++i) others.emplace_back(run);
  run();
}

}  // namespace qkjit
