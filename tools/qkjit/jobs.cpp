#include "tools/qkjit/jobs.hpp"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <optional>
#include <thread>

#include "tuning/builtin.hpp"

namespace qkjit {
namespace {

constexpr unsigned kMostThreads = 8;

}  // namespace

std::vector<JobResult> run_jobs(Runtime& runtime, const std::vector<Job>& jobs, int threads,
                                const std::function<void(const JobResult&)>& done,
                                const std::function<bool()>& stop) {
  std::vector<std::optional<JobResult>> finished(jobs.size());
  std::atomic<std::size_t> next{0};
  std::mutex reporting;
  const auto work = [&] {
    for (std::size_t i = next++; i < jobs.size() && !stop(); i = next++) {
      finished[i] = {jobs[i], runtime.compile(jobs[i].spec, jobs[i].variant, jobs[i].target)};
      const std::lock_guard lock(reporting);
      done(*finished[i]);
    }
  };
  const unsigned cores = std::clamp(std::thread::hardware_concurrency(), 1u, kMostThreads);
  const std::size_t count = std::min<std::size_t>(
      threads > 0 ? static_cast<unsigned>(threads) : cores, std::max<std::size_t>(jobs.size(), 1));
  {
    std::vector<std::jthread> workers;
    for (std::size_t i = 1; i < count; ++i) workers.emplace_back(work);
    work();
  }
  std::vector<JobResult> results;
  for (auto& result : finished) {
    if (result) results.push_back(std::move(*result));
  }
  return results;
}

std::vector<Job> cross(const std::vector<Spec>& specs, const std::vector<std::string>& targets) {
  std::vector<Job> jobs;
  for (const std::string& target : targets) {
    for (const Spec& spec : specs) {
      for (const Choice& choice : builtin_choices(spec, target)) {
        jobs.push_back({spec, choice.variant, target});
      }
    }
  }
  return jobs;
}

}  // namespace qkjit
